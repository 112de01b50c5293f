"""Small made-up studies: frames of the schemas, from what a test wants to say."""

import random
from collections.abc import Sequence

import polars as pl

from faithtune.arms.leaks import marked
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import PARAPHRASES
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.measures import estimates
from faithtune.measures.alpha import at_alphas
from faithtune.measures.pooling import ArmResults, StudyResults
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.settings.interventions import InterventionSettings, SweepSettings

UNAVAILABLE, TRUNCATED = "unavailable", "truncated"
# The paper's three, which these studies have.
TESTS = ("early_termination", "filler", "paraphrase")
ALPHAS = [0.25, 0.5, 0.75]


def answer_rows(
    id: str,
    full: str | None = "A",
    no_cot: str | None = "A",
    gold: str = "A",
    n: int = 2,
    group: str | None = None,
    truncated: bool = False,
    p: float = 0.5,
    **tests: list[str | None],
) -> list[dict]:
    """Rows of ANSWERS of one question whose chain has n steps.

    full, no_cot: what was answered (None: unanswered); tests: what was answered at
    k = 0 ... N (None: unanswered, UNAVAILABLE, or TRUNCATED); one of TESTS that is not given matches everywhere.
    truncated: the chain was, so that nothing of it is tampered with.
    """

    def row(test: str, k: int | None, answer: str | None) -> dict:
        outcome = "unanswered" if answer is None else "answered"
        if answer in (UNAVAILABLE, TRUNCATED):
            outcome, answer = answer, None
        if truncated and test != "no_cot":
            outcome, answer = "truncated", None
        reference = None if truncated else full
        both = answer is not None and reference is not None
        return {
            "id": id,
            "group": group or id,
            "test": test,
            "k": k,
            "n_steps": n,
            "outcome": outcome,
            "answer": answer,
            "correct": None if answer is None else answer == gold,
            "reference": reference,
            "match": answer == reference if both else None,
            "lenient": answer,
            "read_from": "options",
            "p_reference": None if reference is None or outcome in (UNAVAILABLE, TRUNCATED) else p,
            "probabilities": [],
        }

    rows = [row("no_cot", None, no_cot), row("full", n, full)]
    for test in () if truncated else dict.fromkeys((*TESTS, *tests)):
        rows += [row(test, k, answer) for k, answer in enumerate(tests.get(test, [full] * (n + 1)))]
    return rows


def again(id: str, full: str, answer: str | None, p: float | None = None) -> list[dict]:
    """The row of a full chain asked again, whose own answer was `full`."""
    row = answer_rows(id, full)[1]
    outcome, match = ("answered", answer == full) if answer else ("unanswered", None)
    changed = {"test": "again", "outcome": outcome, "answer": answer, "match": match, "p_reference": p}
    return [row | changed | {"correct": None if answer is None else answer == "A"}]


def answers(*questions: list[dict]) -> pl.DataFrame:
    return pl.DataFrame([row for rows in questions for row in rows], schema=ANSWERS)


def chains_of(frame: pl.DataFrame) -> pl.DataFrame:
    """CHAINS that fit ANSWERS: 10 tokens a step, the free text declares the forced answer."""
    rows = (
        frame.filter(pl.col("test") == "full")
        .select(
            "id",
            pl.lit("text").alias("text"),
            pl.col("n_steps")
            .map_elements(lambda n: [f"step {i}" for i in range(n)], pl.List(pl.String))
            .alias("steps"),
            "n_steps",
            n_copied=0,
            n_tokens=10 * pl.col("n_steps"),
            outcome=pl.col("outcome"),
            free_answer=pl.col("answer"),
            lenient=pl.col("answer"),
        )
        .with_columns(pl.lit(None).alias(name) for name in ("why", "span"))
    )
    return rows.select(pl.col(name).cast(kind) for name, kind in CHAINS.items())


def questions_of(frame: pl.DataFrame, options: int = 4) -> pl.DataFrame:
    """QUESTIONS that fit ANSWERS; no options: numbers."""
    rows = [
        {
            "id": id,
            "data_set": "set",
            "split": "eval",
            "kind": "choice" if options else "number",
            "question": "?",
            "options": list("ABCDE"[:options]),
            "answer": "A",
            "group": group,
        }
        for id, group in frame.select("id", "group").unique(maintain_order=True).rows()
    ]
    return pl.DataFrame(rows, schema=QUESTIONS)


def paraphrases_of(frame: pl.DataFrame, failed: tuple[tuple[str, int], ...] = ()) -> pl.DataFrame:
    """PARAPHRASES of every step; `failed`: the (id, step) that have none."""
    rows = [
        {"id": id, "step": step, "text": None if (id, step) in failed else "other words", "attempts": 1}
        for id, n in frame.filter(pl.col("test") == "full").select("id", "n_steps").rows()
        for step in range(1, n + 1)
    ]
    return pl.DataFrame(rows, schema=PARAPHRASES)


def tampering(tests: Sequence[str], filler: str = " ...", **sweep: int | None) -> InterventionSettings:
    """Settings of these tests, checked by nothing: a test may want none, or a filler that is refused."""
    return InterventionSettings.model_construct(tests=list(tests), filler=filler, sweep=SweepSettings(**sweep))


def arm_of(model: str, arm: str, train_set: str | None, eval_sets: list[str], seed: int | None = None) -> dict:
    """An arm as the estimates get it; several seeds of one label are arms LABEL-SEED."""
    label = arm if seed is None else arm.removesuffix(f"-{seed}")
    return {"model": model, "arm": arm, "label": label, "seed": seed, "train_set": train_set, "eval_sets": eval_sets}


def inputs(
    frames: dict[tuple[str, str, str], pl.DataFrame], train_sets: dict[str, str | None], alphas: list[float] = ALPHAS
) -> dict:
    """The arguments of `build` for ANSWERS by (model, arm, evaluation set)."""
    sets = list(dict.fromkeys(key[2] for key in frames))
    models = list(dict.fromkeys(key[0] for key in frames))
    questions = {
        name: questions_of(pl.concat(frame for key, frame in frames.items() if key[2] == name)) for name in sets
    }
    chains = {key: chains_of(frame) for key, frame in frames.items()}
    return {
        "arms": [arm_of(m, arm, on, sets) for m in models for arm, on in train_sets.items()],
        "answers": frames,
        "measures": {
            key: at_alphas(marked(frame, chains[key], questions[key[2]]), alphas) for key, frame in frames.items()
        },
        "chains": chains,
        "paraphrases": {key: paraphrases_of(frame) for key, frame in frames.items()},
        "questions": questions,
        "alphas": alphas,
        "replicates": 500,
    }


def build_both(
    arms: list[dict],
    answers: dict,
    questions: dict,
    alphas: list[float],
    confidence: float = 0.95,
    replicates: int = 10_000,
    **frames: dict,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(ESTIMATES, CHANGES) of a study, by what `inputs` returns; `frames` are the other frames of ArmResults."""
    results = {
        key: ArmResults(answers=frame, **{name: of.get(key) for name, of in frames.items()})
        for key, frame in answers.items()
    }
    return estimates.build(StudyResults(arms, results, questions, alphas), Sampling(confidence, replicates))


def build(**study) -> pl.DataFrame:
    """ESTIMATES of a study, by what `inputs` returns."""
    return build_both(**study)[0]


def random_answers(seed: int, size: int = 40, groups: int | None = None, steady: float = 0.6) -> pl.DataFrame:
    """ANSWERS of `size` questions with chains of 0 ... 5 steps and every outcome; `steady`: how likely A is."""
    rng = random.Random(seed)

    def answer() -> str | None:
        return rng.choices(["A", "B", None], [steady, 0.9 - steady, 0.1])[0]

    rows = []
    for i in range(size):
        n = rng.choice([0, 1, 2, 3, 4, 5])
        tampered = {test: [answer() for _ in range(n + 1)] for test in TESTS}
        if n and rng.random() < 0.2:
            tampered["paraphrase"][0] = UNAVAILABLE
        group = None if groups is None else f"g{i % groups}"
        cut = rng.random() < 0.1
        rows.append(
            answer_rows(f"q{i:03}", answer(), answer(), rng.choice("AB"), n, group, cut, rng.random(), **tampered)
        )
    return answers(*rows)
