"""How all figures look: colours that colour-blind readers can tell apart, lines and markers that differ without colour.

Equal data give equal bytes: no random ids, no date, and text as text instead of a font's outlines.
"""

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from faithtune.core import parquet
from faithtune.core.schemas.estimates import BASE

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe & Ito's colours.
COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LINES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
# Sizes in a legend, in inches: a character, the handle before a name, a line.
_CHARACTER, _HANDLE, _LINE = 0.085, 0.6, 0.19
# Axes of changes reach at least so far to either side of 0, so that a small change looks small.
_LEAST = 0.12
# The axes on which arms are points.
ACCURACY = "change of accuracy with the chain  (left: fell, right: rose)"
FAITHFULNESS = "change of faithfulness\n(below: fell, above: rose)"
_STYLE = {"svg.hashsalt": "faithtune", "svg.fonttype": "none", "font.size": 9, "axes.axisbelow": True}


def look(i: int, shift: int = 0) -> dict:
    """Colour, line and marker of the i-th series; the cycles have different lengths, so 280 combinations differ.

    shift: series of one colour but different lines and markers.
    """
    found = {"color": COLOURS[i % len(COLOURS)]}
    return found | {
        name: values[(i + shift) % len(values)] for name, values in (("linestyle", LINES), ("marker", MARKERS))
    }


class ArmLooks:
    """How each arm looks, alike in all figures: base is black, the tuned arms follow in the order of the tables.

    Arms of one label have one colour in every model; lines and markers differ by model.
    """

    def __init__(self, arms: Iterable[tuple[str, str]]):
        arms = list(arms)  # (model, arm)
        self._labels = list(dict.fromkeys([BASE, *(arm for _, arm in arms)]))
        self._models = list(dict.fromkeys(model for model, _ in arms))

    def look(self, model: str, arm: str) -> dict:
        i = self._labels.index(arm)
        colour = COLOURS[1 + (i - 1) % (len(COLOURS) - 1)] if i else COLOURS[0]  # black is of base alone
        return look(i, self._models.index(model)) | {"color": colour}

    def handle(self, model: str, arm: str, **changed) -> "Line2D":
        return _handle(self.look(model, arm), changed)


def handle(i: int, **changed) -> "Line2D":
    """The legend handle of the i-th series."""
    return _handle(look(i), changed)


def _handle(looks: dict, changed: dict) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], **(looks | {"markersize": 3, "linewidth": 1.3} | changed))


def drawing():
    """A context with the style, in which a figure is both drawn and saved."""
    from matplotlib import style

    return style.context(["default", _STYLE])


def save(figure: "Figure", path: str | Path) -> None:
    """Write a figure as SVG, atomically."""
    with parquet.atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def panels(n_rows: int, n_columns: int, width: float, height: float, **shared) -> tuple["Figure", Sequence]:
    """A figure with n_rows × n_columns panels of `width` × `height` inches each, and its rows of panels."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * n_columns, height * n_rows + 0.6), layout="constrained")
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, **shared)


def point(panel: "Axes", x: Sequence[float | None], y: Sequence[float | None], looks: dict, name: str) -> None:
    """A named point with its intervals; x and y: estimate, low, high (None: no interval)."""
    if x[1] is not None:
        panel.plot(x[1:], [y[0], y[0]], color=looks["color"], linewidth=1.2)
    if y[1] is not None:
        panel.plot([x[0], x[0]], y[1:], color=looks["color"], linewidth=1.2)
    panel.plot([x[0]], [y[0]], marker=looks["marker"], color=looks["color"], markersize=7, linestyle="none")
    panel.annotate(name, (x[0], y[0]), xytext=(6, 5), textcoords="offset points", fontsize=8)


def widen(panel: "Axes") -> None:
    """Let both axes reach to either side of 0, however small the changes are."""
    for ends, set_ends in ((panel.get_xlim(), panel.set_xlim), (panel.get_ylim(), panel.set_ylim)):
        set_ends(min(ends[0], -_LEAST), max(ends[1], _LEAST))


def nothing(text: str) -> "Figure":
    """A figure that says in a line of text why there is nothing to draw."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 1.2))
    figure.text(0.5, 0.5, text, ha="center", va="center")
    return figure


def legend(figure: "Figure", handles: Sequence, names: Sequence[str]) -> None:
    """Add a legend below all panels, in as many columns as fit; the figure grows to hold it."""
    width, height = figure.get_size_inches()
    columns = max(1, min(len(names), int(width / (_CHARACTER * max(map(len, names)) + _HANDLE))))
    figure.set_size_inches(width, height + _LINE * math.ceil(len(names) / columns))
    named = figure.legend(handles, ["x"] * len(names), loc="outside lower center", ncols=columns)
    for text, name in zip(named.get_texts(), names, strict=True):
        text.set_text(name)  # matplotlib drops labels that begin with _
