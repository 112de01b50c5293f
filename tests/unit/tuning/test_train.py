"""Tuning: the prompt is the evaluation prompt, gradients survive an evaluation, a killed training resumes."""

import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
import tiny
import torch

import small
from faithtune.core.errors import UserError
from faithtune.data import prompts, questions
from faithtune.data.readers import arithmetic
from faithtune.models import loading
from faithtune.models import weights as models
from faithtune.settings.tunings import Training
from faithtune.tuning import examples
from faithtune.tuning import train as tune

SETTINGS = Training(
    method="qlora",
    target="rationale",
    rank=2,
    alpha=4,
    dropout=0.1,
    targets="all-linear",
    learning_rate=0.001,
    epochs=1,
    batch_size=4,
    micro_batch_size=2,
    schedule="cosine",
    warmup=0.0,
    weight_decay=0.0,
    gradient_checkpointing=False,
    checkpoint_steps=2,
    seed=1,
    quantisation="nf4",
    dtype="float32",
)


def changed(**settings) -> Training:
    """SETTINGS with some of them replaced."""
    return SETTINGS.model_copy(update=settings)


def trained(model: dict, folder: Path, settings: Training, asked: pl.DataFrame, templates: dict, run: str = ""):
    """Train on the CPU, with checkpoints in folder c and weights in folder w; returns the result of `train`."""
    rows = tune.tokenise_questions(model, asked, templates, settings.target)
    return tune.train(model, settings, rows, folder / f"c{run}", folder / f"w{run}", "cpu")


CHOICE = questions.choice("Which?", ["red", "blue"], "B", rationale="It is not red.\nSo it is blue.") | {"id": "choice"}


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(24, seed=5), "sums", "train")


@pytest.fixture(scope="module")
def tokenizer():
    return small.tokenizer()


@pytest.mark.parametrize(
    ("target", "form", "start"), [("rationale", "cot", "Step 1:"), ("answer_only", "no_cot", "Final Answer:")]
)
def test_the_evaluation_prompt_is_a_token_prefix_and_is_not_learnt(sums, tokenizer, templates, target, form, start):
    for question in sums.to_dicts():
        made = tune.tokenise_example(tokenizer, templates, question, target)
        prompt = prompts.render(tokenizer, prompts.user_turn(templates, form, question))
        evaluation = prompts.token_ids(tokenizer, prompt + start)
        assert made["input_ids"][: len(evaluation)] == evaluation
        learnt = [token for token, mask in zip(*made.values(), strict=True) if mask]
        text = tokenizer.decode(learnt)
        assert text.startswith(start)
        assert text.endswith(f"Final Answer: {question['answer']}<|end|>")
        assert tokenizer.decode(made["input_ids"][: -len(learnt)]) == prompt


def test_the_whole_turn_is_learnt_and_nothing_of_the_prompt(sums, tokenizer, templates):
    for question in [*sums.to_dicts()[:3], CHOICE]:
        for target in ("rationale", "answer_only"):
            made = tune.tokenise_example(tokenizer, templates, question, target)
            ids, mask = made["input_ids"], made["completion_mask"]
            assert mask == sorted(mask) and len(mask) == len(ids)  # the prompt, then the turn
            user, turn = (
                tokenizer.decode([i for i, m in zip(ids, mask, strict=True) if m == wanted]) for wanted in (0, 1)
            )
            assert user == prompts.render(tokenizer, examples.user_turn(templates, question, target))
            assert turn == examples.completion(question, target) + tokenizer.eos_token
            assert ids[-1] == tokenizer.eos_token_id and mask[-1] == 1  # it learns to stop


@pytest.mark.parametrize("family", tiny.THINKING.values(), ids=tiny.THINKING)
def test_a_model_that_thinks_is_taught_to_think_or_to_answer_at_once(sums, templates, family):
    """The block that evaluation writes into the prompt is given: its opening, and without a chain its closing."""
    tokenizer = tiny._tokenizer(small._TEXTS, family)
    spoken = prompts.Turns(thinking=["<think>\n", "\n</think>\n\n"], enable_thinking=True)
    for question in [*sums.to_dicts()[:3], CHOICE]:
        answer = f"Final Answer:{prompts.answer_text(question)}{tokenizer.eos_token}"
        thought = "\n\n".join(question["rationale"].splitlines())
        expected = {
            "rationale": ("cot", "<think>\n", f"{thought}\n</think>\n\n{answer}"),
            "answer_only": ("no_cot", "<think>\n\n</think>\n\n", answer),
        }
        for target, (form, given, learnt) in expected.items():
            made = tune.tokenise_example(tokenizer, templates, question, target, spoken)
            user = prompts.user_turn(templates, form, question)
            parts = [tokenizer.decode([i for i, m in zip(*made.values(), strict=True) if m == mask]) for mask in (0, 1)]
            assert parts == [prompts.render(tokenizer, user, given, spoken), learnt]


def test_a_training_speaks_as_its_models_card_says(sums, templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    cards = {"path": "model"}, {"path": "model", "turns": {"system": "Be brief."}}
    plain, brief = (tune.tokenise_questions(card, sums.head(1), templates, "rationale") for card in cards)
    texts = [small.tokenizer().decode(rows[0]["input_ids"]) for rows in (plain, brief)]
    assert texts[1] == f"<|system|>\nBe brief.<|end|>\n{texts[0]}"


def test_an_adapter_is_what_the_settings_say():
    made = tune._lora_config(changed(method="lora", rank=3, alpha=12, dropout=0.25, targets=["q_proj"]))
    assert (made.r, made.lora_alpha, made.lora_dropout, made.target_modules) == (3, 12, 0.25, {"q_proj"})
    assert made.task_type == "CAUSAL_LM"
    assert tune._lora_config(changed(method="full")) is None


class Begun(Exception):
    pass


@pytest.fixture
def folder_of(sums, templates, tmp_path, monkeypatch):
    """A function that returns the checkpoint folder of a training with given settings, without training."""
    found = []

    def trainer(model, settings, rows, tokenizer, folder, device):
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
        method="lora",
        target="answer_only",
        rank=3,
        alpha=5,
        dropout=0.2,
        targets=["q_proj"],
        learning_rate=0.002,
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


def test_another_prompt_than_the_evaluations_is_refused(sums, tokenizer, templates, monkeypatch):
    monkeypatch.setattr(tune.forms, "CHAIN_START", "First step:")
    with pytest.raises(UserError, match="not a token-prefix"):
        tune.tokenise_example(tokenizer, templates, sums.to_dicts()[0], "rationale")


def test_a_data_set_without_rationales_cannot_teach_them(sums, tiny_model, templates, tmp_path):
    bare = sums.with_columns(rationale=pl.lit(None, pl.String))
    with pytest.raises(UserError, match="expected target answer_only"):
        trained(card(tiny_model), tmp_path, SETTINGS, bare, templates)


def card(folder) -> dict:
    return {"path": str(folder), "weights_sha256": models.folder_fingerprint(folder)}


def gradients(network, ids) -> dict[str, torch.Tensor]:
    network.train()
    network.zero_grad()
    network(input_ids=ids, labels=ids).loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_an_evaluation_pass_does_not_change_the_gradients(tiny_model):
    """On some CPUs an eval forward of bitsandbytes repacks 4-bit weights in place, which stops learning."""
    import bitsandbytes
    from peft import get_peft_model

    torch.manual_seed(0)
    network = tune._load_network(card(tiny_model), changed(dtype="bfloat16"), "cpu")
    # On a CPU no packed layer is left that could be repacked.
    assert not [layer for layer in network.modules() if isinstance(layer, bitsandbytes.nn.Linear4bit)]
    network = get_peft_model(network, tune._lora_config(changed(dropout=0.0)))
    ids = torch.randint(5, 100, (2, 30))
    before = gradients(network, ids)
    network.eval()
    with torch.no_grad():
        network(input_ids=ids)
    after = gradients(network, ids)
    assert any(gradient.abs().max() > 0 for gradient in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("method", ["qlora", "lora", "full"])
@pytest.mark.parametrize(("dtype", "checkpointing"), [("float32", False), ("bfloat16", False), ("bfloat16", True)])
def test_every_method_trains_and_its_arm_loads(sums, tiny_model, templates, tmp_path, method, dtype, checkpointing):
    quantisation = "nf4" if method == "qlora" else "none"
    settings = changed(method=method, quantisation=quantisation, dtype=dtype, gradient_checkpointing=checkpointing)
    arm, log, made = trained(card(tiny_model), tmp_path, settings, sums, templates)
    assert log["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert arm["fixed"]["optimiser"].startswith("adamw") and arm["fixed"]["loss_on"] == "completion"
    assert arm["fixed"]["trained_in"] == "float32"  # on a CPU
    assert arm["fixed"]["clipping"] == 1.0 and ("double_quantisation" in arm["fixed"]) == (method == "qlora")
    assert [made] == list((tmp_path / "c").iterdir())
    base = loading.load_network(card(tiny_model), None, quantisation, "float32", "cpu")
    tuned = loading.load_network(card(tiny_model), arm, quantisation, "float32", "cpu")
    ids = torch.randint(5, 100, (1, 20))
    with torch.inference_mode():
        assert not torch.equal(base(ids).logits, tuned(ids).logits)


def test_equal_trainings_make_equal_files(sums, tiny_model, templates, tmp_path):
    cards = [trained(card(tiny_model), tmp_path, SETTINGS, sums, templates, str(i))[0] for i in range(2)]
    assert len({one["folder_sha256"] for one in cards}) == 1
    assert cards[0]["folder_sha256"] == models.folder_fingerprint(tmp_path / "w0")
    layers = json.loads((tmp_path / "w0/adapter_config.json").read_text())["target_modules"]
    assert len(layers) > 1 and layers == sorted(layers)


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("adapter_model.safetensors", True),
        ("adapter_model.safetensors", False),
        ("optimizer.pt", False),
        ("trainer_state.json", False),
        ("sha256", True),
    ],
)
def test_a_damaged_checkpoint_is_named_and_passed_over(sums, tiny_model, templates, tmp_path, capsys, name, cut):
    _, _, folder = trained(card(tiny_model), tmp_path, SETTINGS, sums, templates)
    assert tune.last_checkpoint(folder) == folder / "checkpoint-6"
    saved = folder / "checkpoint-6" / name
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content[:-50] if cut else content)
    capsys.readouterr()
    assert tune.last_checkpoint(folder) == folder / "checkpoint-4"
    assert not (folder / "checkpoint-6").exists()
    assert f"warning: {folder}/checkpoint-6: incomplete or damaged" in capsys.readouterr().err
    assert tune.last_checkpoint(folder / "nosuch") is None


def test_a_training_goes_on_from_its_newest_whole_checkpoint(tmp_path, capsys):
    """Checkpoint 10 has no hash, as if interrupted; 8 has a changed byte; 6 is newer than 4."""
    for step in (4, 6, 8, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(bytes([step]) * 9)
        if step < 10:
            about = SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(global_step=step)
            tune.HashedCheckpoints().on_save(*about, control=None)
    assert tune.last_checkpoint(tmp_path).name == "checkpoint-8"
    (tmp_path / "checkpoint-8/adapter_model.safetensors").write_bytes(bytes([8]) * 8 + b"9")
    assert tune.last_checkpoint(tmp_path).name == "checkpoint-6"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    assert capsys.readouterr().err.count("incomplete or damaged") == 2


@pytest.mark.parametrize(("method", "dtype"), [("lora", "bfloat16"), ("full", "float32")])
def test_weights_that_move_themselves_are_float32(monkeypatch, method, dtype):
    """The steps of full tuning are too small for 16 bits; the base under an adapter keeps its dtype."""
    loaded = []
    network = SimpleNamespace(config=SimpleNamespace(use_cache=True), parameters=list)
    monkeypatch.setattr(loading, "load_base", lambda *how, **more: loaded.append(how) or network)
    tune._load_network({"path": "base"}, changed(method=method, dtype="bfloat16", quantisation="none"), "cpu")
    assert loaded == [("base", "none", dtype, "cpu")] and network.config.use_cache is False


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


class Killed(Exception):
    pass


def killed_after(monkeypatch, step):
    """End the training like a kill, after `step` and its checkpoint."""
    original = tune.HashedCheckpoints.on_save

    def save(self, args, state, control, **named):
        original(self, args, state, control, **named)
        if state.global_step == step:
            raise Killed

    monkeypatch.setattr(tune.HashedCheckpoints, "on_save", save)


def test_a_killed_training_goes_on_and_changed_settings_start_afresh(
    sums, tiny_model, templates, tmp_path, monkeypatch
):
    def train(name, **more):
        model = card(tiny_model)
        rows = tune.tokenise_questions(model, sums, templates, SETTINGS.target)
        return tune.train(model, changed(**more), rows, tmp_path / "checkpoints", tmp_path / name, "cpu")

    undisturbed, log, folder = train("undisturbed")
    shutil.rmtree(folder)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 4)
        train("killed")
    assert [folder] == list((tmp_path / "checkpoints").iterdir())
    cut_short = folder / "checkpoint-6"
    cut_short.mkdir()  # a checkpoint without its state, as a crash leaves it
    (cut_short / "adapter_model.safetensors").write_bytes(b"half")

    for more in ({"learning_rate": 0.002}, {"code": "changed"}):
        _, other, elsewhere = train("other", **more)
        assert other["step"].to_list() == log["step"].to_list()
        assert elsewhere != folder
    assert folder.is_dir()

    seen = []
    original = tune.last_checkpoint
    monkeypatch.setattr(tune, "last_checkpoint", lambda path: seen.append(original(path)) or seen[-1])
    resumed, log_resumed, _ = train("resumed")
    assert seen == [folder / "checkpoint-4"]
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]
    assert log_resumed.equals(log)


@pytest.mark.slow  # imports TRL
def test_a_training_is_what_the_settings_say(tmp_path):
    more = {"learning_rate": 0.003, "epochs": 2, "batch_size": 12, "micro_batch_size": 3, "warmup": 0.1, "seed": 7}
    made = tune._trainer_arguments(changed(weight_decay=0.2, schedule="linear", **more), tmp_path, "cpu", 100)
    assert (made.learning_rate, made.num_train_epochs, made.weight_decay) == (0.003, 2, 0.2)
    assert made.per_device_train_batch_size * made.gradient_accumulation_steps == 12
    assert (made.per_device_train_batch_size, made.warmup_steps) == (3, 2)  # of 9 steps an epoch
    assert (made.lr_scheduler_type, made.seed, made.data_seed) == ("linear", 7, 7)
    assert made.completion_only_loss and made.max_length is None
    assert not (made.bf16 or made.fp16) and made.output_dir == str(tmp_path)


@pytest.mark.slow  # imports TRL
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
def test_a_training_computes_in_the_studys_type(tmp_path, monkeypatch, dtype, device, bf16, fp16):
    import trl

    given = {}
    monkeypatch.setattr(trl, "SFTConfig", lambda **settings: given.update(settings))
    tune._trainer_arguments(changed(dtype=dtype), tmp_path, device, 8)
    assert (given["bf16"], given["fp16"], given["use_cpu"]) == (bf16, fp16, device == "cpu")


@pytest.mark.slow  # imports TRL
@pytest.mark.parametrize(
    ("n_examples", "checkpoint_steps", "logging_steps"), [(24, 50, 1), (4000, 50, 25), (4000, 7, 7), (4000, 60, 20)]
)
def test_no_row_of_the_log_spans_a_checkpoint(tmp_path, n_examples, checkpoint_steps, logging_steps):
    """4000 examples in batches of 4 are 1000 steps; about 40 rows would be 25 each."""
    made = tune._trainer_arguments(changed(checkpoint_steps=checkpoint_steps), tmp_path, "cpu", n_examples)
    assert made.logging_steps == logging_steps
    assert made.save_steps == checkpoint_steps and checkpoint_steps % logging_steps == 0
