"""A study of oracles in one process: the workflow's stages on made-up questions, rows kept nowhere."""

from collections.abc import Callable, Sequence

import polars as pl

from faithtune.arms import answers as answering
from faithtune.arms import chains
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.data import questions
from faithtune.interventions import build, mistakes, regeneration
from faithtune.interventions import paraphrases as paraphrasing
from faithtune.measures import alpha
from faithtune.measures.pooling import ArmResults
from faithtune.models.backend import Model
from faithtune.models.oracle import OracleModel
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.backend import Behaviour
from faithtune.settings.chains import ChainSettings
from faithtune.settings.interventions import InterventionSettings, ParaphraserSettings, SweepSettings

MAX_NEW_TOKENS = 96
COLOURS = ["red", "green", "blue", "white", "black", "grey", "pink", "brown", "gold", "cyan"]


class NoStore:
    """In the place of a RowStore: computes whatever it is asked for."""

    def get_or_compute(self, keys, compute):
        values = dict(compute(list(range(len(keys)))))
        return [values[i] for i in range(len(keys))]

    def commit(self):
        pass


def cached(model: Model) -> CachedArm:
    """The arm of a model, with rows kept nowhere."""
    return CachedArm(model, NoStore(), "oracle")


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


def run_arm(
    asked: pl.DataFrame,
    behaviour: Behaviour,
    templates: dict[str, str],
    tests: Sequence[str],
    alphas: list[float],
    again: int = 0,
) -> ArmResults:
    """All that is asked of an oracle; it rewrites its steps itself."""
    oracle, block = cached(OracleModel(asked, behaviour)), Block(0, asked)
    oracle.model.token_ids = lambda text: []  # part of the keys of rows, which are kept nowhere: a fifth of the time
    written = chains.write(oracle, asked, templates, ChainSettings(max_new_tokens=MAX_NEW_TOKENS))

    def rewrite(how: Callable) -> pl.DataFrame:
        return how(oracle, block, written, templates, ParaphraserSettings(max_new_tokens=32))

    worded = rewrite(paraphrasing.make_paraphrases) if {"paraphrase", "prefix_paraphrase"} & set(tests) else None
    rewritten = {"prefix_paraphrase": worded} if "prefix_paraphrase" in tests else {}
    if "mistake" in tests:
        rewritten["mistake"] = rewrite(mistakes.make_mistakes)
    rests = regeneration.regenerate(oracle, block, written, rewritten, templates, MAX_NEW_TOKENS)
    settings = InterventionSettings.model_construct(tests=list(tests), filler=" ...", sweep=SweepSettings())
    tampered = build.build(written, settings, oracle.model.count_tokens, worded, rests)
    answers = answering.answer(
        oracle, block, written, tampered, templates, AnswerSettings(max_new_tokens=8, again=again)
    )
    return ArmResults(answers, written, alpha.at_alphas(answers, alphas), worded, rewritten.get("mistake"))
