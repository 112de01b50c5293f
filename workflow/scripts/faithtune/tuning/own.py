"""The target `own`: a model is tuned on chains that it drew itself and that end in the right answer.

Rejection sampling: STaR (Zelikman et al. 2022, arXiv 2203.14465) learns one right chain of a question, RFT (Yuan et al.
2023, arXiv 2308.01825) all different ones. A chain whose declared answer is wrong, cannot be read or was cut off is
never learnt as right, and neither is an answer without a step, which is no chain.
"""

from collections.abc import Iterable

import polars as pl

from faithtune.core.errors import UserError
from faithtune.settings.tunings import OwnSettings


def right_chains(samples: pl.DataFrame, keep: int) -> pl.DataFrame:
    """Of each question in SAMPLES the first `keep` right chains with different steps; the rows' order stays."""
    return _first_different(samples.filter("right"), keep)


def wrong_chains(samples: pl.DataFrame, keep: int) -> pl.DataFrame:
    """Likewise those that declare a wrong answer; neither truncated nor unanswered ones."""
    return _first_different(samples.filter(~pl.col("right"), outcome="answered"), keep)


def _first_different(samples: pl.DataFrame, keep: int) -> pl.DataFrame:
    chains = samples.filter(pl.col("steps").list.len() > 0)
    different = pl.struct("id", pl.col("steps").list.join("\n"), "free_answer").is_first_distinct()
    return chains.filter(different).filter(pl.int_range(pl.len()).over("id") < keep)


def learnable(
    samples: Iterable[pl.DataFrame], questions: pl.DataFrame, own: OwnSettings, arm: str
) -> tuple[pl.DataFrame, dict[str, int]]:
    """The examples of an arm (TUNING-TRAIN_SET-SEED), and what its card says of them.

    samples: SAMPLES of each of its data sets, drawn as `own` says. The examples are QUESTIONS with the column `steps`,
    a row for each chain that is learnt, in the order of the questions. Questions without a right chain are left out;
    UserError if none has one.
    """
    chains = right_chains(_drawn(samples), own.keep).select("id", "steps")
    return _found(questions, chains, own, arm, "a right chain", "chains")


def contrasted(
    samples: Iterable[pl.DataFrame], questions: pl.DataFrame, own: OwnSettings, arm: str
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Like `learnable`, for methods that learn from pairs: a right chain and a wrong one of the same question.

    The examples are QUESTIONS with `steps` of the right chain and `wrong_steps` and `wrong_answer` of the other. The
    first right chain of a question stands beside its first wrong one, and so on, up to `own.keep` pairs.
    """
    drawn, place = _drawn(samples), pl.int_range(pl.len()).over("id").alias("place")
    right = right_chains(drawn, own.keep).select("id", "steps", place)
    wrong = wrong_chains(drawn, own.keep).select("id", place, wrong_steps="steps", wrong_answer="free_answer")
    pairs = right.join(wrong, on=["id", "place"], maintain_order="left").drop("place")
    return _found(questions, pairs, own, arm, "a right and a wrong chain", "pairs")


def _drawn(samples: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """The samples of several data sets, each once, in the order of their numbers."""
    return pl.concat(samples).unique(["id", "sample"], keep="first", maintain_order=True).sort("sample")


def _found(
    questions: pl.DataFrame, chains: pl.DataFrame, own: OwnSettings, arm: str, what: str, learnt: str
) -> tuple[pl.DataFrame, dict[str, int]]:
    found = questions.join(chains, on="id", maintain_order="left_right")
    n, n_found = questions.height, found["id"].n_unique()
    how = f"{own.samples} drawn at temperature {own.temperature:g}"
    if not n_found:
        tuning, train_set, _ = arm.split("-")
        raise UserError(
            f"config: tunings.{tuning}: none of the {n} questions of {train_set} has {what} among {how};"
            " expected more own.samples, another own.temperature, other questions, or the target rationale"
        )
    print(f"{n_found} of {n} questions have {what} among {how}: {found.height} {learnt} are learnt")
    return found, {"questions": n, "questions_found": n_found}
