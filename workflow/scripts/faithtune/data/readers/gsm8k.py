r"""GSM8K: grade-school word problems with worked solutions.

https://github.com/openai/grade-school-math (JSON lines), openai/gsm8k (hub), both with the row

    {"question": "Natalia sold clips to 48 of her friends in April, and then she sold half as many clips in May.
                  How many clips did Natalia sell altogether in April and May?",
     "answer": "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\nNatalia sold 48+24 = <<48+24=72>>72 clips
                altogether in April and May.\n#### 72"}

The trap: nearly every solution has annotations such as `<<48/2=24>>` for a calculator that no model here has; they are
removed. Answers may have thousands commas.
"""

import re

from faithtune.core.errors import UserError
from faithtune.data.questions import canonical_number, number
from faithtune.data.readers.layouts import layout

KIND = "number"
RATIONALE = "native"
DOMAIN = "mathematics"
LICENCE = {"hub:openai/gsm8k@": "MIT", "/openai/grade-school-math/": "MIT"}


def questions(records: list[dict]) -> list[dict]:
    """The records as questions; the rationale is the solution without its `####` line."""
    layout("gsm8k", records, {"github and hub": ("question", "answer")})
    return [_question(place, row) for place, row in enumerate(records, 1)]


def _question(place: int, row: dict) -> dict:
    solution, marker, final = row["answer"].rpartition("####")
    answer = canonical_number(final)
    if not marker or answer is None:
        raise UserError(f"gsm8k: row {place}: its answer does not end with '#### ' and a number")
    lines = re.sub(r"<<[^<>]*>>", "", solution).split("\n")
    return number(row["question"], answer, rationale="\n".join(line.strip() for line in lines if line.strip()))
