"""How fast the prefix tree answers, against what else could answer the same prompts.

    python tests/benchmarks/answering.py [--items N] [--device cpu|cuda] [--json FILE]

One run asks the same questions of every contender, one after another, each in a
process of its own: (a) naive, transformers' batched `generate` over every
distinct prompt, sorted by length; (b) tree, the study's own stage; (c) where it
is installed, lm-eval's hf backend, and with --all transformers' continuous
batching. Times are of the answers alone, without loading and after a warm-up.
"""

import argparse
import importlib.util
import math
import tempfile
from dataclasses import dataclass

import contest

MAX_NEW_TOKENS = 16


def main() -> None:
    parser = contest.arguments(__doc__)
    parser.add_argument("--sets", nargs="+", help="of gsm8k, medqa (with FAITHTUNE_DATA), arithmetic")
    parser.add_argument("--all", action="store_true", help="also the peers that are known to be slow")
    args = contest.parse(parser)
    contenders = {"naive": naive, "tree": tree}
    if importlib.util.find_spec("lm_eval"):
        contenders["lm_eval"] = lm_eval
    if args.all:
        contenders["continuous"] = continuous
    result = compare({name: contest.apart(run, contender, args) for name, contender in contenders.items()})
    contest.tell(result, args.json)
    print(
        f"tree: {result['ratio']:.2f} x as fast as naive, with {result['token_ratio']:.2f} x fewer tokens;"
        f" {result['tokens_computed'] / result['tokens_distinct']:.3f} tokens computed for a distinct one;"
        f" {result['memory_ratio']:.2f} x the memory; {result['agreement']:.4f} of {result['prompts']} answers equal"
    )


def run(contender, args: argparse.Namespace) -> dict:
    """A contender's answers by set and prompt, and what they cost."""
    import samples

    from faithtune.models import padded

    model = contest.load(args)
    asked = {name: ask(model, name, args) for name in args.sets or samples.SETS}
    dict(padded.answer(model, next(iter(asked.values())).asks[:2], 2, bool))  # warm
    computed = {}

    def answer(name: str) -> dict:
        found = contender(model, asked[name], args)
        computed[name] = model.cache.n_computed  # each set begins a new cache
        return found

    told = contest.measured(lambda: {name: answer(name) for name in asked}, args.device)
    return told | {"computed": sum(computed.values())} | tokens(model, asked, told["found"])


@dataclass
class Asked:
    """A set's frames, and what is asked of a model."""

    frames: tuple
    asks: list  # every prompt once
    prompts: list[str]  # of the interventions, in their order


def ask(model, name: str, args) -> Asked:
    """A set's questions, chains and interventions, and their prompts."""
    import samples

    from faithtune.arms import answers as answering
    from faithtune.data import prompts
    from faithtune.models import backend

    templates = prompts.read_templates(samples.TEMPLATES.glob("*.txt"))
    asked, chains, made = samples.frames(name, -(-args.items // len(args.sets or samples.SETS)), model.count_tokens)
    by_id = {row["id"]: row for row in asked.iter_rows(named=True)}
    texts, asks = [], {}
    for row in made.iter_rows(named=True):
        question = by_id[row["id"]]
        texts.append(answering.prompt(model, templates, question, row["test"], row["text"]))
        asks[texts[-1]] = backend.Query(texts[-1], len(question["options"]))
    return Asked((asked, chains, made, templates), list(asks.values()), texts)


def naive(model, asked: Asked, args) -> dict:
    """Transformers' `generate`, batched."""
    from faithtune.extraction import steps
    from faithtune.models import padded

    told = padded.answer(model, asked.asks, MAX_NEW_TOKENS, steps.line_ended)
    return {
        asked.asks[i].prompt: (*read(said.text, said.finished, said.probabilities), said.text or "") for i, said in told
    }


def read(text: str | None, finished: bool, probabilities: list[float]) -> tuple[str | None, list[float]]:
    """An answer as the study reads it."""
    from faithtune.data.questions import LETTERS
    from faithtune.extraction import extract

    if probabilities:
        return LETTERS[max(range(len(probabilities)), key=probabilities.__getitem__)], probabilities
    return (extract.forced(text, "number").answer if finished else None), []


def tree(model, asked: Asked, args) -> dict:
    """The study's stage, with its row store."""
    from faithtune.arms import answers as answering
    from faithtune.arms.blocks import Block
    from faithtune.arms.cached_arm import CachedArm
    from faithtune.arms.row_store import RowStore
    from faithtune.settings.answers import AnswerSettings

    questions, *frames = asked.frames
    settings = AnswerSettings(max_new_tokens=MAX_NEW_TOKENS, min_option_mass=0.0, again=0, shuffle=False)
    with tempfile.TemporaryDirectory() as folder, RowStore(folder) as store:
        told = answering.answer(CachedArm(model, store, "arm"), Block(0, questions), *frames, settings)
    return dict(zip(asked.prompts, told.select("answer", "probabilities").iter_rows(), strict=True))


def lm_eval(model, asked: Asked, args) -> dict:
    """lm-eval's hf backend: letters by their likelihoods, numbers by `generate_until`."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from faithtune.data.questions import LETTERS

    lm = HFLM(pretrained=model.network, tokenizer=model.tokenizer, batch_size=args.batch_size, add_bos_token=False)

    def instances(kind: str, requests: list[tuple]) -> list:
        return [Instance(kind, {}, request, i) for i, request in enumerate(requests)]

    found = {}
    choices = [one for one in asked.asks if one.n_options]
    pairs = [(one.prompt, f" {letter}") for one in choices for letter in LETTERS[: one.n_options]]
    told = iter(lm.loglikelihood(instances("loglikelihood", pairs)))
    for one in choices:
        scores = [next(told)[0] for _ in range(one.n_options)]
        odds = [math.exp(score - max(scores)) for score in scores]
        found[one.prompt] = read(None, True, [odd / sum(odds) for odd in odds])
    numbers = [one for one in asked.asks if not one.n_options]
    limits = {"until": ["\n"], "max_gen_toks": MAX_NEW_TOKENS, "do_sample": False}
    texts = lm.generate_until(instances("generate_until", [(one.prompt, limits) for one in numbers]))
    return found | {one.prompt: (None, [], text) for one, text in zip(numbers, texts, strict=True)}


def continuous(model, asked: Asked, args) -> dict:
    """Transformers' continuous batching, blocks of a prompt's beginning shared; letters are written, not read."""
    from transformers import GenerationConfig

    model.network.set_attn_implementation("sdpa")
    found = {}
    for options in {bool(one.n_options) for one in asked.asks}:
        chosen = [one for one in asked.asks if bool(one.n_options) == options]
        config = GenerationConfig(
            max_new_tokens=1 if options else MAX_NEW_TOKENS, do_sample=False, eos_token_id=list(model.stop_tokens)
        )
        outputs = model.network.generate_batch(
            inputs=[model.token_ids(one.prompt) for one in chosen], generation_config=config, progress_bar=False
        )
        for one, output in zip(chosen, outputs.values(), strict=True):
            text = model.tokenizer.decode(output.generated_tokens, skip_special_tokens=True)
            found[one.prompt] = (text.strip(), []) if options else (None, [], text)
    return found


def tokens(model, asked: dict[str, Asked], answers: dict[str, dict]) -> dict:
    """Tokens of all prompts with what naive wrote after them, without padding, and how many are distinct."""
    from faithtune.models.tree import Tree

    whole, distinct = 0, Tree()
    for name, of in asked.items():
        for one in of.asks:
            ids = model.token_ids(one.prompt + "".join(answers[name][one.prompt][2:]))
            whole += len(ids)
            distinct.insert(ids)
    return {"tokens": whole, "distinct": len(distinct)}


def compare(found: dict) -> dict:
    """The figures, all of one run."""
    first, second = found["naive"], found["tree"]
    seconds = {f"{name}_seconds": round(one["seconds"], 2) for name, one in found.items()}
    result = seconds | {
        "ratio": first["seconds"] / second["seconds"],
        "token_ratio": first["tokens"] / first["distinct"],
        "tokens_naive": first["tokens"],
        "tokens_computed": second["computed"],
        "tokens_distinct": first["distinct"],
        "memory_ratio": second["memory"] / first["memory"],
        "prompts": sum(map(len, first["found"].values())),
    }
    for name, one in list(found.items())[1:]:
        pairs = [(a, one["found"][part][p]) for part, of in first["found"].items() for p, a in of.items()]
        prefix = "" if name == "tree" else f"{name}_"
        result[f"{prefix}agreement"] = sum(same(a, b) for a, b in pairs) / len(pairs)
        gaps = [abs(x - y) for a, b in pairs for x, y in zip(a[1], b[1], strict=bool(b[1]))]
        result[f"{prefix}probability_difference"] = max(gaps, default=0.0)
    return result | {f"{name}_peak_bytes": one["memory"] for name, one in found.items()}


def same(first: tuple, second: tuple) -> bool:
    """Whether two contenders answered alike; of one that does not say whether it was cut, the line is compared."""
    if second[0] is None and second[2:]:
        return first[2].strip().split("\n")[0] == second[2].strip().split("\n")[0]
    return first[0] == second[0]


if __name__ == "__main__":
    main()
