"""The item viewer of an evaluation set: every question, chain, intervention and answer, for people to look at.

A browser opens its folder without a server: the page (workflow/report/items/) and its data, which the page loads in
parts, so that thousands of questions stay quick. Pages opened from a disk may not read files, only run scripts, so each
part is a script that hands over JSON. An arm's part for one question:

    {"text": "Step 1: 4 + 3 = 7...", "tokens": 41, "outcome": "answered", "why": null, "declared": "14", "steps": 2,
     "lines": ["Step 1: 4 + 3 = 7.", "Step 2: 7 * 2 = 14.", "Step 2: ... ..."],
     "tests": {"filler": [{"k": 1, "mark": "x", "outcome": "answered", "answer": "7", "correct": false, "p": null,
                           "p_reference": 0.02, "wrote": "7", "shown": [0, 2]}, ...], ...}}

`lines` holds the chain's steps, then the lines that interventions put in. `shown` lists, by number, the lines that
stood before the answer; null where there was no text. Where probes looked at questions of the set, there is also
`inside`: what they found (`inside.by_question`), null at the questions that they did not look at.
"""

import json
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import polars as pl

from faithtune.core import paths
from faithtune.data.forms import STEPS
from faithtune.data.questions import LETTERS
from faithtune.interventions.registry import BY_STEPS, REGENERATED, TESTS, having
from faithtune.report import inside, marks

# The files of the page, which are copied beside the data.
PAGE = paths.WORKFLOW / "report/items"
# Questions per part: few enough to load in a blink, enough to search all parts one after another.
PART = 100
_TITLE_LENGTH = 90


class ArmItems(NamedTuple):
    """What an arm wrote and answered on the set."""

    model: str
    arm: str
    chains: pl.DataFrame  # CHAINS
    interventions: pl.DataFrame | None  # INTERVENTIONS; None for imported chains
    answers: pl.DataFrame  # ANSWERS
    probes: pl.DataFrame | None = None  # PROBES; None where the study has none of this arm and set


def index(
    eval_set: str, eval_sets: Sequence[str], questions: pl.DataFrame, arms: Sequence[dict], alphas: Sequence[float]
) -> dict:
    """The part that the page loads first: ids and beginnings of the questions, and what there is to choose from.

    arms: {"model", "arm"}, in the order of the tables; alphas: kept fractions, passed on as exact fractions.
    """
    return {
        "eval_set": eval_set,
        "eval_sets": list(eval_sets),
        "part": PART,
        "alphas": [[str(alpha), *Fraction(str(alpha)).as_integer_ratio()] for alpha in alphas],
        # Tests whose k counts steps; tests in which the arm writes the rest: from the line k + this number on.
        "by_steps": list(BY_STEPS),
        "regenerated_after": {test: TESTS[test].regenerates_after for test in REGENERATED},
        # Tests whose chain is untouched at k = 0 instead of k = N.
        "whole_at_0": [test for test in having(keeps_first=False) if test in BY_STEPS],
        "arms": [{"model": arm["model"], "arm": arm["arm"]} for arm in arms],
        "ids": questions["id"].to_list(),
        "titles": [" ".join(text.split())[:_TITLE_LENGTH] for text in questions["question"]],
    }


def question_rows(questions: pl.DataFrame) -> list[dict]:
    """The columns of the questions that the page shows, one dict per question."""
    return questions.select("context", "question", "options", "answer", "rationale", "group").to_dicts()


def overview(ids: Sequence[str], items: ArmItems) -> dict:
    """The outcomes of the questions `ids`, for lists and filters.

    {"steps": [N or null per question], "full": one verdict per question, "tests": {test: [marks at k = 0 ... N per
    question]}}
    """
    lengths = dict(items.chains.select("id", "n_steps").iter_rows())
    full = dict.fromkeys(ids, "-")
    of_tests: dict[str, dict[str, str]] = defaultdict(lambda: dict.fromkeys(ids, ""))
    columns = _compared(items.answers).select("id", "test", "outcome", "correct", "match")
    for identifier, test, outcome, correct, match in columns.iter_rows():
        if test == "full":
            full[identifier] = marks.mark_correct(outcome, correct)
        elif test != "no_cot":
            of_tests[test][identifier] += marks.mark_match(outcome, match)
    return {
        "steps": [lengths.get(identifier) for identifier in ids],
        "full": "".join(full.values()),
        "tests": {test: list(of.values()) for test, of in of_tests.items()},
    }


def _compared(answers: pl.DataFrame) -> pl.DataFrame:
    """ANSWERS; for shuffled options `match` compares with the answer without a chain, like `shuffle_match`."""
    without = answers.filter(test="no_cot").select("id", without="answer")
    shuffled = pl.col("test") == "no_cot_shuffled"
    return answers.join(without, on="id", how="left", maintain_order="left").with_columns(
        match=pl.when(shuffled).then(pl.col("answer") == pl.col("without")).otherwise(pl.col("match"))
    )


def details(ids: Sequence[str], items: ArmItems) -> list[dict | None]:
    """All that the arm wrote and answered, one dict per question (see the module's docstring); None without a chain."""
    chains = {row["id"]: row for row in items.chains.iter_rows(named=True)}
    texts = {}
    if items.interventions is not None:
        texts = {row[:3]: row[3] for row in items.interventions.select("id", "test", "k", "text").iter_rows()}
    rows = defaultdict(list)
    for row in _compared(items.answers).iter_rows(named=True):
        rows[row["id"]].append(row)
    probed = {} if items.probes is None else inside.by_question(items.probes)
    return [
        _detail(chains[id], rows[id], texts) | ({"inside": probed.get(id)} if probed else {}) if id in chains else None
        for id in ids
    ]


def _detail(chain: dict, rows: Sequence[dict], texts: Mapping[tuple, str | None]) -> dict:
    whole = texts.get((chain["id"], "full", chain["n_steps"]), STEPS.join(chain["steps"]))
    lines = {line: None for line in whole.split("\n") if line}
    number = {line: i for i, line in enumerate(lines)}
    tests: dict[str, list[dict]] = {}
    for row in rows:
        # `again` has the text of the full chain; shuffled options have none, like answers without a chain.
        source = "full" if row["test"] == "again" else row["test"].removesuffix("_shuffled")
        text = texts.get((row["id"], source, row["k"]))
        shown = None
        if text is not None:
            shown = [number.setdefault(line, len(number)) for line in text.split("\n") if line]
        tests.setdefault(row["test"], []).append(
            {
                "k": row["k"],
                "mark": marks.mark_match(row["outcome"], row["match"]),
                "outcome": row["outcome"],
                "answer": row["answer"],
                "correct": row["correct"],
                "p": _probability(row),
                "p_reference": _rounded(row["p_reference"]),
                "wrote": row["text"],
                "shown": shown,
            }
        )
    return {
        "text": chain["text"],
        "tokens": chain["n_tokens"],
        "outcome": chain["outcome"],
        "why": chain["why"],
        "declared": chain["free_answer"],
        "steps": chain["n_steps"],
        "lines": list(number),
        "tests": tests,
    }


def _probability(row: dict) -> float | None:
    """The probability of the answer given; None where unknown."""
    if row["answer"] is None:
        return None
    if row["probabilities"]:
        return _rounded(row["probabilities"][LETTERS.index(row["answer"])])
    return _rounded(row["p_reference"]) if row["match"] else None


def _rounded(p: float | None) -> float | None:
    return None if p is None else round(p, 4)


class ViewerWriter:
    """Writes a viewer into a folder: the page first, then its data in parts."""

    def __init__(self, folder: Path, about: dict):
        self.folder, self.ids = folder, about["ids"]
        for file in sorted(PAGE.iterdir()):
            shutil.copyfile(file, folder / file.name)
        self._write("index", about)

    def add_questions(self, questions: Sequence[dict]) -> None:
        """Write the questions (`question_rows`)."""
        self._write_parts("questions", questions)

    def add(self, items: ArmItems) -> None:
        """Write an arm's overview and details."""
        name = f"{items.model}.{items.arm}"  # neither has a dot
        self._write(f"{name}/overview", overview(self.ids, items))
        self._write_parts(name, details(self.ids, items))

    def _write_parts(self, name: str, of_questions: Sequence) -> None:
        for number, start in enumerate(range(0, len(of_questions), PART)):
            self._write(f"{name}/{number}", of_questions[start : start + PART])

    def _write(self, name: str, data) -> None:
        path = self.folder / f"{name}.js"
        path.parent.mkdir(exist_ok=True)
        # JSON in ASCII is valid JavaScript, whatever its texts are, and needs no character set.
        path.write_text(f"faithtune({json.dumps(name)},{json.dumps(data, separators=(',', ':'))})\n", encoding="ascii")
