"""What probes found at each question, for the item viewer: aggregated over layers, so that its files stay small.

    {"number": "js",
     "cuts": {"knockout": {"chain": [["x", 0.41], ...], "random_chain": ..., "question": ..., "random_question": ...},
              "removal": {"chain": ..., "question": ...}},
     "layers": 30,
     "parts": [["first", null, 1, 0.62, null, null], ["before", null, null, null, 0.2, null],
               ["step", 1, 14, 0.05, 0.31, 22], ..., ["cue", null, 6, 0.09, 0.97, 19]]}

`cuts`: at k = 1 ... N the mark of the answer with a part hidden or deleted against the one without (`marks`), and the
`number`: "js", or "log_p" of questions without options. `parts`, in the order of the text: name, step, tokens,
attention (mean over layers), probability of the final answer at its end (last layer), decision layer. `layers`: how
many the network has. What was not looked at is left out, or null.
"""

from collections import defaultdict

import polars as pl

from faithtune.probes.registry import BEFORE, CHAIN, CONTROLS, CUE, QUESTION, STEP
from faithtune.report.marks import mark_match

# What is shown, in the order of the page.
CUTS = {
    "knockout": (CHAIN, CONTROLS[CHAIN], QUESTION, CONTROLS[QUESTION]),
    "removal": (CHAIN, QUESTION),
}
# The parts of a prompt, in their order.
PARTS = ("first", "template", "prompt", QUESTION, BEFORE, STEP, CUE)
_NUMBERS = ("js", "log_p")
_PLACES = ("tokens", "attention", "lens_p", "decision_layer")


def by_question(probes: pl.DataFrame) -> dict[str, dict]:
    """Question's id -> what was found there (see the module's docstring); probes: PROBES of an arm on the set.

    Questions that were not looked at are left out, and so are windows of layers and single heads.
    """
    found: dict[str, dict] = defaultdict(dict)
    rows = probes.filter(pl.col("id").is_not_null(), pl.col("head").is_null())
    for looked_at in (_cuts(rows), _places(rows)):
        for identifier, of in looked_at.items():
            found[identifier] |= of
    return dict(found)


def _cuts(probes: pl.DataFrame) -> dict[str, dict]:
    """{id: {"number", "cuts"}} of knock-outs and deletions in all layers."""
    names = [f"{kind}_{what}" for kind in CUTS for what in ("changed", *_NUMBERS)]
    rows = probes.filter(pl.col("measure").is_in(names), pl.col("layer").is_null())
    cells = defaultdict(dict)
    for row in rows.iter_rows(named=True):
        kind, _, what = row["measure"].partition("_")
        value = row["value"]
        if what == "changed":
            value = mark_match(row["outcome"], None if value is None else value == 0)
        cells[row["id"]][kind, row["part"], row["k"], what] = value
    return {identifier: _cuts_of_question(of) for identifier, of in cells.items()}


def _cuts_of_question(cells: dict[tuple, str | float | None]) -> dict:
    """cells: (kind, part, k, "changed" or a number's name) -> mark or value."""
    n_steps = max(k for _, _, k, _ in cells)
    number = next((name for name in _NUMBERS if any(key[-1] == name for key in cells)), None)

    def cell(*where) -> list:
        return [cells.get((*where, "changed"), "."), _rounded(cells.get((*where, number)))]

    cuts = {
        kind: {part: [cell(kind, part, k) for k in range(1, n_steps + 1)] for part in parts}
        for kind, parts in CUTS.items()
    }
    return {"number": number, "cuts": cuts}


def _places(probes: pl.DataFrame) -> dict[str, dict]:
    """{id: {"layers", "parts"}} of attention and the lens."""
    rows = probes.filter(pl.col("measure").is_in(_PLACES))
    is_lens = pl.col("measure") == "lens_p"
    last = rows.filter(is_lens)["layer"].max()
    # The lens is read in the last layer; attention is averaged over all, of other measures there is one row.
    shown = rows.filter(~is_lens | (pl.col("layer") == pl.col("layer").filter(is_lens).max()))
    means = shown.group_by("id", "part", "k", "measure").agg(pl.col("value").mean())
    values = defaultdict(dict)
    for identifier, part, k, measure, value in means.iter_rows():
        values[identifier].setdefault((part, k), {})[measure] = value
    found = {}
    for identifier, of in values.items():
        places = sorted(of, key=lambda place: (PARTS.index(place[0]), place[1] or 0))
        parts = [[*place, *(_plain(name, of[place].get(name)) for name in _PLACES)] for place in places]
        found[identifier] = {"layers": last, "parts": parts}
    return found


def _plain(measure: str, value: float | None) -> float | int | None:
    """The value as the page gets it: counts of tokens and layers are whole."""
    return int(value) if value is not None and measure in ("tokens", "decision_layer") else _rounded(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
