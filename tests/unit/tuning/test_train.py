"""What all methods of tuning share: what decides a training, its arguments, and that equal ones make equal files."""

import json
import shutil
import threading
from pathlib import Path

import polars as pl
import pytest

import small
from faithtune.core.errors import UserError
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.models import loading
from faithtune.models import weights as models
from faithtune.settings.tunings import GrpoSettings, OwnSettings, Training
from faithtune.tuning import train as tune
from trainings import SETTINGS, card, changed, trained


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(24, seed=5), "sums", "train")


class Begun(Exception):
    pass


@pytest.fixture
def folder_of(sums, templates, tmp_path, monkeypatch):
    """A function that returns the checkpoint folder of a training with given settings, without training."""
    found = []

    def trainer(model, settings, rows, folder, device):
        found.append(folder)
        raise Begun

    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    monkeypatch.setattr(models, "verify_weights", lambda card: None)
    monkeypatch.setattr(tune, "make_trainer", trainer)

    def folder(code: str = "", asked: pl.DataFrame = sums, weights: str = "w", form=templates, **more):
        model = {"path": "model", "weights_sha256": weights}
        with pytest.raises(Begun):
            trained(model, tmp_path, changed(code=code, **more), asked, form)
        return found[-1]

    return folder


def test_a_training_goes_on_only_where_all_that_decides_it_is_the_same(folder_of, sums, templates):
    other = Training(
        method="dpo",
        adapter="lora",
        target="answer_only",
        own=OwnSettings(samples=2),
        rank=3,
        alpha=5,
        dropout=0.2,
        targets=["q_proj"],
        learning_rate=0.002,
        beta=0.3,
        grpo=GrpoSettings(),
        forced_start=False,
        epochs=2,
        batch_size=8,
        micro_batch_size=4,
        schedule="linear",
        warmup=0.1,
        weight_decay=0.1,
        gradient_checkpointing=True,
        checkpoint_steps=3,
        seed=2,
        quantisation="none",
        dtype="bfloat16",
        code="another",
    )
    prompt = templates | {"cot_number": f"Think.\n{templates['cot_number']}"}
    changes = [
        *({key: value} for key, value in other),
        {"weights": "another"},
        {"asked": sums.head(23)},
        {"asked": sums[::-1]},
        {"form": prompt},
    ]
    folders = [folder_of(), *(folder_of(**one) for one in changes)]
    assert len(set(folders)) == len(folders)
    assert folder_of() == folders[0]


def test_a_data_set_without_rationales_cannot_teach_them(sums, tiny_model, templates, tmp_path):
    bare = sums.with_columns(rationale=pl.lit(None, pl.String))
    with pytest.raises(UserError, match="expected target answer_only"):
        trained(card(tiny_model), tmp_path, SETTINGS, bare, templates)


def test_equal_trainings_make_equal_files(sums, tiny_model, templates, tmp_path):
    cards = [trained(card(tiny_model), tmp_path, SETTINGS, sums, templates, str(i))[0] for i in range(2)]
    assert cards[0] | {"path": ""} == cards[1] | {"path": ""}
    assert cards[0]["folder_sha256"] == models.folder_fingerprint(tmp_path / "w0")
    layers = json.loads((tmp_path / "w0/adapter_config.json").read_text())["target_modules"]
    assert len(layers) > 1 and layers == sorted(layers)


def test_a_model_that_drops_out_attention_is_refused(sums, tiny_model, templates, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.1}))
    with pytest.raises(UserError, match=r"attention_dropout is not 0 in its config\.json"):
        trained(card(folder), tmp_path, SETTINGS, sums, templates)


def test_an_arm_is_tuned_by_one_job_at_a_time(tmp_path, monkeypatch):
    order, lines, told, lock = [], [], threading.Event(), tmp_path / "new/arm/lock"
    monkeypatch.setattr(tune.errors, "warn", lambda line: (lines.append(line), told.set()))

    def second():
        with tune.exclusive(lock):
            order.append("second")

    with tune.exclusive(lock):
        thread = threading.Thread(target=second)
        thread.start()
        assert told.wait(60)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert lines == [f"another run is tuning this arm (it holds {lock}): waiting for it"]


def arguments(settings: Training, folder: Path, device: str, n_examples: int):
    from transformers import TrainingArguments

    return TrainingArguments(**tune.common_arguments(settings, folder, device, n_examples))


@pytest.mark.slow  # imports torch
def test_a_training_is_what_the_settings_say(tmp_path):
    more = {"learning_rate": 0.003, "epochs": 2, "batch_size": 12, "micro_batch_size": 3, "warmup": 0.1, "seed": 7}
    made = arguments(changed(weight_decay=0.2, schedule="linear", **more), tmp_path, "cpu", 100)
    assert (made.learning_rate, made.num_train_epochs, made.weight_decay) == (0.003, 2, 0.2)
    assert made.per_device_train_batch_size * made.gradient_accumulation_steps == 12
    assert (made.per_device_train_batch_size, made.warmup_steps) == (3, 2)  # of 9 steps an epoch
    assert (made.lr_scheduler_type, made.seed, made.data_seed) == ("linear", 7, 7)
    assert not (made.bf16 or made.fp16) and made.output_dir == str(tmp_path)


@pytest.mark.parametrize(
    ("dtype", "device", "bf16", "fp16"),
    [
        ("bfloat16", "cpu", True, False),
        ("bfloat16", "cuda", True, False),
        ("float16", "cuda", False, True),
        ("float16", "cpu", False, False),  # PyTorch trains no float16 on a CPU
        ("float32", "cuda", False, False),
    ],
)
def test_a_training_computes_in_the_studys_type(tmp_path, dtype, device, bf16, fp16):
    given = tune.common_arguments(changed(dtype=dtype), tmp_path, device, 8)
    assert (given["bf16"], given["fp16"], given["use_cpu"]) == (bf16, fp16, device == "cpu")


@pytest.mark.slow  # imports torch
@pytest.mark.parametrize(
    ("n_examples", "checkpoint_steps", "logging_steps"), [(24, 50, 1), (4000, 50, 25), (4000, 7, 7), (4000, 60, 20)]
)
def test_no_row_of_the_log_spans_a_checkpoint(tmp_path, n_examples, checkpoint_steps, logging_steps):
    """4000 examples in batches of 4 are 1000 steps; about 40 rows would be 25 each."""
    made = arguments(changed(checkpoint_steps=checkpoint_steps), tmp_path, "cpu", n_examples)
    assert made.logging_steps == logging_steps
    assert made.save_steps == checkpoint_steps and checkpoint_steps % logging_steps == 0


def test_parts_of_an_epoch_are_logged_in_whole_steps(tmp_path):
    given = tune.common_arguments(changed(epochs=1.5, checkpoint_steps=25), tmp_path, "cpu", 400)  # 150 steps
    assert given["logging_steps"] == 1 and isinstance(given["logging_steps"], int)
