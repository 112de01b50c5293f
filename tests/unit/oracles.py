"""A study of oracles in one process: the workflow's stages on made-up questions, rows kept nowhere."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from faithtune.arms import answers as answering
from faithtune.arms import chains
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.data import questions
from faithtune.interventions import build, mistakes, regeneration
from faithtune.interventions import paraphrases as paraphrasing
from faithtune.interventions.registry import BY_STEPS, SWEEP
from faithtune.measures import alpha, estimates
from faithtune.measures.pooling import ArmResults, StudyResults
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.models.backend import Model
from faithtune.models.oracle import OracleModel
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.backend import Behaviour
from faithtune.settings.chains import ChainSettings
from faithtune.settings.paraphraser import ParaphraserSettings
from frames import arm_of, tampering

MAX_NEW_TOKENS = 96
COLOURS = ["red", "green", "blue", "white", "black", "grey", "pink", "brown", "gold", "cyan"]


class NoStore:
    """In the place of a RowStore: computes whatever it is asked for."""

    def get_or_compute(self, keys, compute):
        values = dict(compute(list(range(len(keys)))))
        return [values[i] for i in range(len(keys))]

    def commit(self):
        pass


def made_up(n: int, options: int, sharing: int = 0) -> pl.DataFrame:
    """n QUESTIONS of so many options; 0: numbers, none of them one that a step adds.

    sharing: one, two, ... so many of them in turn have a context in common; 0: they have none.
    """
    sizes = [1 + i % sharing if sharing else 1 for i in range(n)]
    shelves = [f"The boxes of shelf {i} are heavy." if sharing else None for i in range(n) for _ in range(sizes[i])]
    rows = [
        questions.choice(f"Which colour has box {i}?", COLOURS[:options], "ABCDEFGHIJ"[i % options], context=shelf)
        if options
        else questions.number(f"How much does box {i} weigh?", f"{3 * i - 7}.5" if i % 3 else str(i + 50), shelf)
        for i, shelf in zip(range(n), shelves, strict=False)
    ]
    return questions.frame(rows, "boxes", "eval")


def cached(model: Model) -> CachedArm:
    """The arm of a model, with rows kept nowhere."""
    return CachedArm(model, NoStore(), "oracle")


@dataclass(frozen=True)
class Arm:
    """What an oracle wrote and answered."""

    chains: pl.DataFrame
    paraphrases: pl.DataFrame | None
    answers: pl.DataFrame
    mistakes: pl.DataFrame | None


def arm(
    asked: pl.DataFrame, behaviour: dict, templates: dict[str, str], again: int = 50, tests: tuple = (*BY_STEPS, SWEEP)
) -> Arm:
    """All that is asked of an oracle; it rewrites its steps itself."""
    oracle, block = cached(OracleModel(asked, Behaviour(**behaviour))), Block(0, asked)
    oracle.model.token_ids = lambda text: []  # part of the keys of rows, which are kept nowhere: a fifth of the time
    written = chains.write(oracle, asked, templates, ChainSettings(max_new_tokens=MAX_NEW_TOKENS))

    def rewrite(how: Callable) -> pl.DataFrame:
        return how(oracle, block, written, templates, ParaphraserSettings(max_new_tokens=32))

    worded = rewrite(paraphrasing.make_paraphrases) if {"paraphrase", "prefix_paraphrase"} & set(tests) else None
    rewritten = {"prefix_paraphrase": worded} if "prefix_paraphrase" in tests else {}
    if "mistake" in tests:
        rewritten["mistake"] = rewrite(mistakes.make_mistakes)
    rests = regeneration.regenerate(oracle, block, written, rewritten, templates, MAX_NEW_TOKENS)
    tampered = build.build(written, tampering(tests), oracle.model.count_tokens, worded, rests)
    answers = answering.answer(
        oracle, block, written, tampered, templates, AnswerSettings(max_new_tokens=8, again=again)
    )
    return Arm(written, worded, answers, rewritten.get("mistake"))


def estimate(
    arms: dict[str, dict[str, Arm]], asked: dict[str, pl.DataFrame], alphas: list[float], replicates: int, seed: int
) -> pl.DataFrame:
    """ESTIMATES of arms by name (the first is base) and evaluation set; arms LABEL-SEED are seeds of one label."""
    return estimate_both(arms, asked, alphas, replicates, seed)[0]


def estimate_both(
    arms: dict[str, dict[str, Arm]], asked: dict[str, pl.DataFrame], alphas: list[float], replicates: int, seed: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(ESTIMATES, CHANGES), as `estimate`."""
    made = {("oracle", name, eval_set): one for name, sets in arms.items() for eval_set, one in sets.items()}
    named = [(name, None if name == "base" else "elsewhere", name.partition("-")[2]) for name in arms]
    results = {
        key: ArmResults(one.answers, one.chains, alpha.at_alphas(one.answers, alphas), one.paraphrases, one.mistakes)
        for key, one in made.items()
    }
    named = [arm_of("oracle", name, on, list(asked), int(seed) if seed else None) for name, on, seed in named]
    study = StudyResults(named, results, asked, alphas)
    return estimates.build(study, Sampling(replicates=replicates, seed=seed))
