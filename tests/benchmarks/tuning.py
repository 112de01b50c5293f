"""How fast an adapter is tuned: a micro-batch as one prefix tree against TRL's defaults.

    python tests/benchmarks/tuning.py [--items N] [--prompts FOLDER] [--device cpu|cuda] [--json FILE]

One run tunes on the same examples in the same order, in a process each: (a) trl,
SFTTrainer as it comes (its micro-batches of 8, padded, and gradient
checkpointing); (b) stored, the same without checkpointing; (c) tree, what the
study does. Rate, schedule and adapter are the same; no dropout, so that losses
can be compared. Real questions where FAITHTUNE_DATA names the folder of the
data files: GSM8K's with solutions, MedQA's with answers alone.
"""

import argparse
import tempfile
from pathlib import Path

import contest

BATCH_SIZE = 8  # TRL's default
SETTINGS = {
    "method": "sft",
    "adapter": "lora",
    "quantisation": "none",
    "rank": 16,
    "alpha": 32,
    "dropout": 0.0,
    "targets": "all-linear",
    "learning_rate": 0.001,
    "epochs": 1,
    "batch_size": BATCH_SIZE,
    "micro_batch_size": BATCH_SIZE,
    "schedule": "cosine",
    "warmup": 0.0,
    "weight_decay": 0.0,
    "gradient_checkpointing": False,
    "checkpoint_steps": 1000,
    "seed": 1,
}


def main() -> None:
    parser = contest.arguments(__doc__)
    parser.add_argument("--prompts", type=Path, default=contest.ROOT / "resources/prompts/zero_shot")
    parser.set_defaults(items=96, dtype="bfloat16")
    args = contest.parse(parser)
    import samples

    contest.tell({name: compared(name, args) for name in samples.SETS}, args.json)


def compared(data_set: str, args: argparse.Namespace) -> dict:
    """Seconds, tokens of the examples a second, memory in bytes and losses of all contenders on a data set."""
    found = {name: contest.apart(run, name, data_set, args) for name in ("trl", "stored", "tree")}
    n_tokens, losses = found["tree"]["found"]["tokens"], {name: one["found"]["losses"] for name, one in found.items()}
    return {
        name: {"seconds": round(one["seconds"], 2), "tokens_per_second": round(n_tokens / one["seconds"])}
        | {"memory": one["memory"], "losses": [round(loss, 4) for loss in losses[name]]}
        for name, one in found.items()
    } | {
        "examples": args.items,
        "tokens": n_tokens,
        "tokens_computed": found["tree"]["found"]["computed"],
        "ratio": found["trl"]["seconds"] / found["tree"]["seconds"],
        "ratio_stored": found["stored"]["seconds"] / found["tree"]["seconds"],
        "memory_ratio": found["tree"]["memory"] / found["trl"]["memory"],
        "loss_gap": max(abs(one - other) for one, other in zip(losses["trl"], losses["tree"], strict=True)),
    }


def run(name: str, data_set: str, args: argparse.Namespace) -> dict:
    """A contender's loss at each step, and what tuning cost it."""
    import torch

    from faithtune.data import prompts
    from faithtune.models import loading, weights
    from faithtune.settings.tunings import Training
    from faithtune.tuning import tokens, train

    torch.set_num_threads(args.threads)
    tokenizer = loading.load_tokenizer(args.model)
    templates = prompts.read_templates(args.prompts.glob("*.txt"))
    target = "answer_only" if data_set == "medqa" else "rationale"
    rows = [tokens.tokenise_example(tokenizer, templates, row, target) for row in questions(data_set, args.items)]
    settings = Training(**SETTINGS, target=target, dtype=args.dtype)
    with tempfile.TemporaryDirectory() as folder:
        card = {"path": str(args.model), "weights_sha256": weights.folder_fingerprint(args.model)}
        if name == "tree":
            trainer = train.make_trainer(card, settings, rows, Path(folder), args.device)
        else:
            trainer = plain(args, settings, rows, tokenizer, folder, checkpointing=name == "trl")
        cost = contest.measured(lambda: trainer.train() and None, args.device)
    log = [entry for entry in trainer.state.log_history if "loss" in entry]
    found = {"losses": [entry["loss"] for entry in log], "computed": int(log[-1]["num_tokens"])}
    return cost | {"found": found | {"tokens": sum(len(row["input_ids"]) for row in rows)}}


def questions(data_set: str, n: int) -> list[dict]:
    """Training questions, with what else a row of questions has."""
    import samples

    from faithtune.data import questions
    from faithtune.data.readers import arithmetic, gsm8k, medqa

    made = {
        "gsm8k": lambda: gsm8k.questions(samples.records("gsm8k/train.jsonl")[:n]),
        "medqa": lambda: medqa.questions(samples.records("medqa/phrases_no_exclude_test.jsonl"))[:n],
        "arithmetic": lambda: arithmetic.generate(n, seed=0),
    }[data_set]()
    return questions.frame(made, data_set, "train").to_dicts()


def plain(args: argparse.Namespace, settings, rows: list[dict], tokenizer, folder: str, checkpointing: bool):
    """SFTTrainer on the network as transformers loads it; what is said here is what all contenders have in common."""
    import datasets
    import torch
    import transformers
    import trl

    from faithtune.tuning import adapters

    network = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=getattr(torch, args.dtype))
    for parameter in network.parameters():  # off the memory-mapped file, as the study has them
        parameter.data = parameter.data.clone()
    transformers.set_seed(settings.seed)
    arguments = trl.SFTConfig(
        output_dir=folder,
        gradient_checkpointing=checkpointing,
        bf16=args.dtype == "bfloat16",
        use_cpu=args.device == "cpu",
        learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.schedule,
        num_train_epochs=settings.epochs,
        completion_only_loss=True,
        logging_steps=1,
        seed=settings.seed,
        data_seed=settings.seed,
        report_to=[],
    )
    return trl.SFTTrainer(
        model=network,
        args=arguments,
        train_dataset=datasets.Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=adapters.peft_config(settings, network.config.model_type),
    )


if __name__ == "__main__":
    main()
