"""Conditions on a study's verdict, for use in CI: `faithfulness fell`, or `accuracy fell in MODEL/ARM`."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from faithtune.core.errors import UserError
from faithtune.jobs import job
from faithtune.measures.verdicts.verdict import FELL, MIXED, ROSE, SUBJECTS, WORDS

FILE = "results/verdict.json"


class Condition(NamedTuple):
    """A word that a subject may have in an arm, or in any."""

    subject: str
    word: str
    where: str | None = None  # MODEL/ARM; None: any

    def holds(self, arm: dict) -> bool:
        """Whether it is true of an arm of verdict.json. `mixed` is both `fell` and `rose`: each on some set."""
        if self.where not in (None, f"{arm['model']}/{arm['arm']}"):
            return False
        found = arm[self.subject]["word"]
        return found == self.word or (found == MIXED and self.word in (FELL, ROSE))


def parse(text: str, arms: Sequence[dict]) -> Condition:
    """The condition that a text states; UserError for an unknown subject, word or arm."""
    found = re.fullmatch(rf"({'|'.join(SUBJECTS)}) ({'|'.join(WORDS)})(?: in (\S+))?", text.strip())
    if not found:
        raise UserError(
            f"{text!r}: expected SUBJECT WORD or SUBJECT WORD in MODEL/ARM; subjects: {', '.join(SUBJECTS)};"
            f" words: {', '.join(WORDS)}"
        )
    known = [f"{arm['model']}/{arm['arm']}" for arm in arms]
    if found[3] and found[3] not in known:
        raise UserError(f"{text!r}: the verdict has no arm {found[3]}; it has {', '.join(known) or 'none'}")
    return Condition(*found.groups())


def load(folder: Path) -> dict:
    """verdict.json of a study; UserError where there is none."""
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{path}: there is no verdict; make it with: snakemake {FILE}")
    return job.load_json(path)


def text(document: dict) -> str:
    """The verdict as the command prints it."""
    arms = [f"{arm['headline']}\n  {arm['words']}\n  {' '.join(arm['sentences'])}" for arm in document["arms"]]
    return "\n\n".join([" ".join(model["sentences"]) for model in document.get("recipes", [])] + arms)


def true_of(document: dict, conditions: Sequence[Condition]) -> list[str]:
    """A line for each condition and arm of which it is true."""
    return [
        f"{one.subject} {arm[one.subject]['word']} in {arm['model']}/{arm['arm']}"
        for one in conditions
        for arm in document["arms"]
        if one.holds(arm)
    ]
