"""Tunes a model with TRL's SFTTrainer, peft and bitsandbytes.

The prompt of a training example is the evaluation prompt, token for token; loss
is on the completion only. Examples are passed as token ids, because the trainer
would tokenise a text again and repeat the special tokens of the chat template.
Each checkpoint is hashed when written and verified before training resumes from it.
"""

import contextlib
import fcntl
import hashlib
import itertools
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import transformers

from faithtune.core import errors
from faithtune.core.errors import UserError
from faithtune.core.schemas.training import TRAINING
from faithtune.data import forms, prompts
from faithtune.models import loading, precision, tree_cache
from faithtune.models import weights as model_weights
from faithtune.settings.tunings import Training
from faithtune.tuning import collator, examples

_LOGGED = {
    "step": "step",
    "epoch": "epoch",
    "loss": "loss",
    "learning_rate": "learning_rate",
    "gradient_norm": "grad_norm",
    "token_accuracy": "mean_token_accuracy",
    "tokens": "num_tokens",
}


def tokenise_example(
    tokenizer, templates: dict[str, str], question: dict, target: str, turns: prompts.Turns = prompts.USUAL
) -> dict:
    """input_ids and completion_mask (1: learnt) of a training example, as long as each other.

    Of a thinking block, what evaluation writes into the prompt is not learnt: its opening, and without a chain its
    closing. Raises UserError if the evaluation prompt, with "Step 1:", the opened block or the cue, is not a
    token-prefix of the example: then tuning would teach another prompt.
    """
    user, form, reasons = examples.user_turn(templates, question, target), forms.form_of(turns), target == "rationale"

    def tokens(turn: str, end: str = "") -> list[int]:
        return prompts.token_ids(tokenizer, prompts.render(tokenizer, user, turn, turns) + end)

    ids = tokens(examples.completion(question, target, form), tokenizer.eos_token)
    for opening in ("", form.start(True) if reasons else form.answer("")):
        prompt = tokens(opening)
        if ids[: len(prompt)] != prompt:
            raise UserError(
                f"question {question['id']}: the evaluation prompt is not a token-prefix of the training example;"
                " change the templates in the prompts folder"
            )
    given = tokens(form.start(False) if reasons else form.reply(""))
    # The tokens that both begin with: a tokenizer may join the last line end of a closed block to what follows.
    common = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ids, given, strict=False))
    n_prompt = len(list(common))
    return {"input_ids": ids, "completion_mask": [0] * n_prompt + [1] * (len(ids) - n_prompt)}


def tokenise_questions(model: dict, questions: pl.DataFrame, templates: dict[str, str], target: str) -> list[dict]:
    """The training examples of QUESTIONS, each by `tokenise_example`; model: its model.json."""
    tokenizer, turns = loading.load_tokenizer(model["path"]), prompts.Turns.of(model)
    usable = examples.select_usable(questions, target)
    return [tokenise_example(tokenizer, templates, question, target, turns) for question in usable.to_dicts()]


def train(
    model: dict, settings: Training, rows: list[dict], under_way: Path, weights: Path, device: str = "auto"
) -> tuple[dict, pl.DataFrame, Path]:
    """Tune a model (its model.json) on rows of `tokenise_questions`.

    Returns the arm's card, its TRAINING log and the folder of its checkpoints, under_way/HASH. A killed training
    resumes from its last checkpoint there. The hash covers everything that determines the training, so a training with
    other settings starts from the beginning. The caller removes the folder once the arm is stored.
    """
    model_weights.verify_weights(model)
    tokenizer = loading.load_tokenizer(model["path"])
    folder = under_way / _identity(model["weights_sha256"], settings.model_dump(), rows)

    trainer = make_trainer(model, settings, rows, tokenizer, folder, precision.device_kind(device))
    checkpoint = last_checkpoint(folder)
    if checkpoint is not None:
        trainer._total_train_tokens = tokens_seen(checkpoint)  # TRL does not store this count
    trainer.train(resume_from_checkpoint=checkpoint and str(checkpoint))
    with model_weights.atomic_folder(weights) as temporary:
        trainer.save_model(str(temporary))
        _sort_layers(temporary / "adapter_config.json")
    card = {
        "method": settings.method,
        "path": str(weights),
        # With `settings`, the identity of the arm.
        "weights_sha256": model_weights.folder_fingerprint(weights, ("*.safetensors",)),
        "folder_sha256": model_weights.folder_fingerprint(weights),  # detects damage (model_weights.verify_weights)
        "settings": settings.model_dump(exclude={"code"}),
        "fixed": _fixed_settings(trainer, settings),
        "examples": len(rows),
    }
    log = [{name: entry.get(key) for name, key in _LOGGED.items()} for entry in trainer.state.log_history]
    return card, pl.DataFrame([row for row in log if row["loss"] is not None], schema=TRAINING), folder


def make_trainer(model: dict, settings: Training, rows: list[dict], tokenizer, folder: Path, device: str):
    """TRL's trainer on rows of `tokenise_questions`, each micro-batch a prefix tree; writes checkpoints to `folder`."""
    import datasets
    import transformers
    import trl

    network = _load_network(model, settings, device)
    tree_cache.check_network(network.eval())  # before hours of training an arm that could not be evaluated
    collator.score_predicting(network)
    transformers.set_seed(settings.seed)  # before the adapter draws its first weights
    return trl.SFTTrainer(
        model=network,
        args=_trainer_arguments(settings, folder, device, len(rows)),
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        data_collator=collator.Collator(stacked=device != "cpu"),
        peft_config=_lora_config(settings),
        callbacks=[HashedCheckpoints()],
    )


@contextlib.contextmanager
def exclusive(lock: Path) -> Iterator[None]:
    """Hold `lock` while an arm is tuned, so that a second run in the folder (--nolock) waits."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with open(lock, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            errors.warn(f"another run is tuning this arm (it holds {lock}): waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks
            print(f"{lock}: not locked ({error.strerror}); make sure that no other run tunes this arm")
        yield


def _sort_layers(config: Path) -> None:
    """Sort an adapter's list of layers, which peft writes in random order: equal trainings write equal files."""
    if config.exists():  # not after full tuning
        value = json.loads(config.read_text(encoding="utf-8"))
        if isinstance(value["target_modules"], list):
            value["target_modules"].sort()
        config.write_text(json.dumps(value, indent=2), encoding="utf-8")


def _identity(*parts: str | dict | list) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def _load_network(model: dict, settings: Training, device: str):
    # Full tuning updates the weights themselves, in steps too small for 16 bits.
    dtype = "float32" if settings.method == "full" else settings.dtype
    network = loading.load_base(model["path"], settings.quantisation, dtype, device)
    loading.copy_weights(network)
    network.config.use_cache = False
    return network


def _lora_config(settings: Training):
    if settings.method == "full":
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=settings.targets,
        task_type="CAUSAL_LM",
    )


def _trainer_arguments(settings: Training, folder: Path, device: str, n_examples: int):
    import trl

    total = math.ceil(n_examples / settings.batch_size) * settings.epochs
    return trl.SFTConfig(
        output_dir=str(folder),
        per_device_train_batch_size=settings.micro_batch_size,
        gradient_accumulation_steps=settings.batch_size // settings.micro_batch_size,
        num_train_epochs=settings.epochs,
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        warmup_steps=math.ceil(settings.warmup * total),
        weight_decay=settings.weight_decay,
        gradient_checkpointing=settings.gradient_checkpointing,
        bf16=settings.dtype == "bfloat16",
        fp16=settings.dtype == "float16" and device != "cpu",
        use_cpu=device == "cpu",
        max_length=None,  # a truncated example would teach the model to stop early
        completion_only_loss=True,
        logging_steps=_logging_steps(total, settings.checkpoint_steps),
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        save_total_limit=2,
        seed=settings.seed,
        data_seed=settings.seed,
        report_to=[],
        disable_tqdm=False,  # shows rate and remaining time in the log
    )


def _fixed_settings(trainer, settings: Training) -> dict:
    """The trainer's settings that no key of a tuning determines, read from the trainer."""
    arguments, learnt = trainer.args, (weight for weight in trainer.model.parameters() if weight.requires_grad)
    fixed = {
        "optimiser": str(getattr(arguments.optim, "value", arguments.optim)),
        "betas": [arguments.adam_beta1, arguments.adam_beta2],
        "epsilon": arguments.adam_epsilon,
        "clipping": arguments.max_grad_norm,  # of the gradient's norm
        "loss_on": "completion" if arguments.completion_only_loss else "all",
        "trained_in": str(next(learnt).dtype).removeprefix("torch."),
    }
    return fixed | ({"double_quantisation": loading.DOUBLE_QUANTISATION} if settings.quantisation == "nf4" else {})


def _logging_steps(total: int, checkpoint_steps: int) -> int:
    """Logging interval in steps: at least 40 rows; divides checkpoint_steps, so a resumed run logs the same rows."""
    return max(n for n in range(1, max(1, total // 40) + 1) if checkpoint_steps % n == 0)


# A checkpoint's file with the hash of its other files; written last, so an interrupted checkpoint has none.
_HASH = "sha256"


class HashedCheckpoints(transformers.TrainerCallback):
    """Writes the hash of each checkpoint after its other files."""

    def on_save(self, args, state, control, **_):
        """Called by the trainer."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        (folder / _HASH).write_text(_hash_folder(folder), encoding="utf-8")


def last_checkpoint(folder: Path) -> Path | None:
    """The newest intact checkpoint of a training, or None; warns of incomplete or damaged ones and removes them."""
    whole = []
    for path in folder.glob("checkpoint-*"):
        file = path / _HASH
        if file.is_file() and file.read_bytes() == _hash_folder(path).encode():
            whole.append(path)
        else:
            errors.warn(f"{path}: incomplete or damaged: training resumes from an earlier checkpoint or starts again")
            shutil.rmtree(path)
    return max(whole, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


def tokens_seen(checkpoint: Path) -> int:
    """How many tokens a training had processed at a checkpoint, by the last row of its log."""
    log = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))["log_history"]
    return int(log[-1]["num_tokens"]) if log else 0


def _hash_folder(folder: Path) -> str:
    return model_weights.folder_fingerprint(folder, ("*.*",))  # all files but the hash itself
