"""The questions that are looked into: those with a chain, and an answer after it."""

from dataclasses import dataclass

import polars as pl


@dataclass(frozen=True)
class Reasoned:
    """A question with an arm's chain, which is not truncated, and the answer that the arm gave after it."""

    question: dict  # a row of QUESTIONS
    steps: list[str]
    reference: str
    text: str | None  # what the arm wrote after the cue; None for letters

    @property
    def scored(self) -> str | None:
        """The answer whose probability a query asks for: a number."""
        return self.reference if self.question["kind"] == "number" else None


def find(questions: pl.DataFrame, chains: pl.DataFrame, answers: pl.DataFrame) -> list[Reasoned]:
    """The questions (QUESTIONS) with a chain that has steps and is not truncated, and an answer after it.

    chains, answers: the arm's CHAINS and ANSWERS, of these questions and maybe others.
    """
    full = full_answers(answers)
    steps = {row["id"]: row["steps"] for row in chains.iter_rows(named=True) if row["n_steps"]}
    return [
        Reasoned(row, steps[row["id"]], full[row["id"]]["answer"], full[row["id"]]["text"])
        for row in questions.iter_rows(named=True)
        if row["id"] in full and row["id"] in steps
    ]


def full_answers(answers: pl.DataFrame) -> dict[str, dict]:
    """The rows of ANSWERS after whole chains that are not truncated and were answered, by question."""
    full = answers.filter(pl.col("test") == "full", pl.col("outcome") == "answered")
    return {row["id"]: row for row in full.iter_rows(named=True)}
