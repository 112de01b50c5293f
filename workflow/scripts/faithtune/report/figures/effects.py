"""What tuning changed, drawn: a heat map, a forest plot, accuracy against faithfulness, and effects by rank.

All four show the same numbers: the change from base of accuracy with the chain (`accuracy_effect`, test cot) and, in
each test, of faithfulness over all α (`faithfulness_effect`, α null). † as in the tables: the arm or base is not above
chance there.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import polars as pl

from faithtune.interventions.registry import BY_STEPS
from faithtune.measures.cell import AVERAGES
from faithtune.measures.metrics.registry import METRICS
from faithtune.report.ablations import find_ablations
from faithtune.report.figures import style
from faithtune.report.tables.cells import SETS, TITLES, CellText, TableContext

if TYPE_CHECKING:  # planning a study must not wait for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACCURACY = "accuracy"
# A change from base, as in ESTIMATES.
EFFECTS = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # TUNING-TRAIN_SET
        "train_set": pl.String,
        "rank": pl.Int64,  # of its adapter; null without one
        "eval_set": pl.String,  # or average
        "what": pl.String,  # accuracy, or the test in which faithfulness changed
        "effect": pl.Float64,  # null where there are no data
        "low": pl.Float64,
        "high": pl.Float64,
        "p": pl.Float64,  # not corrected
        "n": pl.Int64,  # answers it rests on
        "n_unanswered": pl.Int64,
        "n_truncated": pl.Int64,
        "seeds": pl.Int64,
        "at_chance": pl.Boolean,  # the arm or base is not above chance (for an average, on one of its sets)
        "ablation": pl.String,  # for arms that differ in rank alone, the names of their tunings; null for others
    }
)
_NOTHING = "the study has no tuned arm"
_NO_RANKS = "the study has no arms that differ in rank alone"


def effects(estimates: pl.DataFrame, arms: Sequence[dict]) -> pl.DataFrame:
    """EFFECTS from ESTIMATES; arms: {"model", "arm", "tuning", "rank"}, as `compared.table_arms` has them."""
    named = {
        (arm["model"], arm["arm"]): ", ".join(sorted({one["tuning"] for one in ablation.arms}))
        for ablation in find_ablations(arms)
        if ablation.key == "rank"
        for arm in ablation.arms
    }
    keys = [(arm["model"], arm["arm"], arm["rank"], named.get((arm["model"], arm["arm"]))) for arm in arms]
    known = {"model": pl.String, "arm": pl.String, "rank": pl.Int64, "ablation": pl.String}
    of_accuracy = (pl.col("metric") == "accuracy_effect") & (pl.col("test") == "cot")
    of_faith = (pl.col("metric") == "faithfulness_effect") & pl.col("alpha").is_null()
    found = estimates.filter(of_accuracy | of_faith, pl.col("eval_set") != AVERAGES[1])
    what = pl.when(pl.col("metric") == "accuracy_effect").then(pl.lit(ACCURACY)).otherwise("test")
    text = CellText(estimates, TableContext())
    chance = pl.Series([text.at_chance(row) for row in found.rows(named=True)], dtype=pl.Boolean)
    found = found.with_columns(what=what, effect="estimate", at_chance=chance)
    keys = pl.DataFrame(keys, schema=known, orient="row")
    return found.join(keys, on=["model", "arm"], how="left", maintain_order="left").select(EFFECTS.names())


def rank_effects(estimates: pl.DataFrame, arms: Sequence[dict]) -> pl.DataFrame:
    """EFFECTS of the arms that differ from another arm in rank and scale alone."""
    return effects(estimates, arms).drop_nulls("ablation")


def heat_map(frame: pl.DataFrame, confidence: float) -> "Figure":
    """Tunings down, evaluation sets across, one panel for accuracy and one per test; bold: the interval excludes 0."""
    if frame.is_empty():
        return style.nothing(_NOTHING)
    arms, sets, things = _arms(frame), _sets(frame), _things(frame)
    figure, panels = style.panels(1, len(things), 1.1 + 0.62 * len(sets), 0.9 + 0.3 * len(arms), sharey=True)
    most = max(frame["effect"].abs().max() or 0, 0.01)
    for what, panel in zip(things, panels[0], strict=True):
        grid = [[None] * len(sets) for _ in arms]
        for row in frame.filter(what=what).rows(named=True):
            grid[arms.index(_name(frame, row))][sets.index(row["eval_set"])] = row
        values = [[math.nan if not row or row["effect"] is None else row["effect"] for row in line] for line in grid]
        image = panel.imshow(values, cmap="PuOr", vmin=-most, vmax=most, aspect="auto")
        for y, line in enumerate(grid):
            for x, row in enumerate(line):
                _cell(panel, x, y, row, image)
        panel.set_xticks(range(len(sets)), [SETS.get(name, name) for name in sets], rotation=45, ha="right")
        panel.set_yticks(range(len(arms)), arms)
        panel.set_title(_title(what), fontsize=9)
    figure.colorbar(image, ax=panels[0].tolist(), label="change from base", shrink=0.8)
    figure.suptitle(f"Change from base; bold: its {100 * confidence:g} % interval leaves 0 out", fontsize=10)
    return figure


def _cell(panel: "Axes", x: int, y: int, row: dict | None, image) -> None:
    if row is None or row["effect"] is None:
        panel.text(x, y, "n/a", ha="center", va="center", fontsize=7, color="#555555")
        return
    sure = row["low"] is not None and not row["low"] <= 0 <= row["high"]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in image.cmap(image.norm(row["effect"]))
    ]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]  # WCAG's
    look = {"color": "black" if luminance > 0.18 else "white", "fontweight": "bold" if sure else "normal"}
    panel.text(x, y, _number(row), ha="center", va="center", fontsize=7, **look)


def forest(frame: pl.DataFrame, confidence: float) -> "Figure":
    """One line per effect with its interval: evaluation sets down, tunings within each; n at the right."""
    if frame.is_empty():
        return style.nothing(_NOTHING)
    arms, things, looks = _arms(frame), _things(frame), _looks(frame)
    lines = [(name, arm) for name in _sets(frame) for arm in arms]
    figure, panels = style.panels(1, len(things), 2.6, 0.8 + 0.17 * len(lines), sharex=True, sharey=True)
    for what, panel in zip(things, panels[0], strict=True):
        panel.axvline(0, color="black", linewidth=0.8)
        for row in frame.filter(what=what).drop_nulls("effect").rows(named=True):
            arm = _name(frame, row)
            y, look = lines.index((row["eval_set"], arm)), looks.look(row["model"], row["arm"])
            if row["low"] is not None:
                panel.plot([row["low"], row["high"]], [y, y], color=look["color"], linewidth=1.3)
            panel.plot([row["effect"]], [y], marker=look["marker"], color=look["color"], markersize=4)
            n = f"{row['n']}{'†' * row['at_chance']}"
            panel.text(1.01, y, n, transform=panel.get_yaxis_transform(), fontsize=6, va="center")
        for y in range(len(arms), len(lines), len(arms)):
            panel.axhline(y - 0.5, color="#999999", linewidth=0.5)
        panel.set_title(_title(what), fontsize=9)
        panel.set_xlabel("change from base (n at the right)", fontsize=8)
        panel.grid(axis="x", alpha=0.3)
    names = [f"{SETS.get(name, name)}: {arm}" for name, arm in lines]
    panels[0, 0].set_yticks(range(len(lines)), names, fontsize=7)
    panels[0, 0].set_ylim(len(lines) - 0.5, -0.5)
    figure.suptitle(f"Change from base, {100 * confidence:g} % intervals", fontsize=10)
    return figure


def trade_off(frame: pl.DataFrame, confidence: float) -> "Figure":
    """Change of accuracy against change of faithfulness, one point per arm and set; its number is the arm's."""
    tests = [what for what in _things(frame) if what != ACCURACY] if not frame.is_empty() else []
    if not tests:
        return style.nothing(_NOTHING if frame.is_empty() else "the study has no test of faithfulness with an effect")
    arms, sets = _arms(frame), [name for name in _sets(frame) if name not in AVERAGES]
    looks = _looks(frame)
    figure, panels = style.panels(1, len(tests), 3.1, 3.0, sharex=True, sharey=True)
    accuracy = frame.filter(what=ACCURACY).select("model", "arm", "eval_set", x="effect", left="low", right="high")
    for test, panel in zip(tests, panels[0], strict=True):
        panel.axhline(0, color="black", linewidth=0.6)
        panel.axvline(0, color="black", linewidth=0.6)
        both = frame.filter(what=test).join(accuracy, on=["model", "arm", "eval_set"], maintain_order="left")
        bounded = both.filter(pl.col("eval_set").is_in(sets)).drop_nulls(["x", "effect", "low", "left"])
        for row in bounded.rows(named=True):
            i = arms.index(_name(frame, row))
            colour = looks.look(row["model"], row["arm"])["color"]
            marker = style.look(sets.index(row["eval_set"]))["marker"]
            panel.plot([row["left"], row["right"]], [row["effect"]] * 2, color=colour, linewidth=0.5, alpha=0.5)
            panel.plot([row["x"]] * 2, [row["low"], row["high"]], color=colour, linewidth=0.5, alpha=0.5)
            panel.plot([row["x"]], [row["effect"]], marker=marker, color=colour, markersize=5, linestyle="none")
            name = f"{i + 1}{'†' * row['at_chance']}"
            panel.annotate(name, (row["x"], row["effect"]), xytext=(4, 3), textcoords="offset points", fontsize=7)
        panel.set_title(TITLES[test], fontsize=9)
        panel.set_xlabel(f"{METRICS['accuracy_effect'].title} with chain")
        panel.grid(alpha=0.3)
    panels[0, 0].set_ylabel(METRICS["faithfulness_effect"].title)
    figure.suptitle(f"Accuracy against faithfulness, {100 * confidence:g} % intervals", fontsize=10)
    named = frame.select("model", "arm").unique(maintain_order=True).rows()
    handles = [looks.handle(*arm, marker="", linestyle="-", linewidth=3) for arm in named]
    handles += [style.handle(i, color="#555555", linestyle="none", markersize=5) for i in range(len(sets))]
    style.legend(figure, handles, [f"{i}: {arm}" for i, arm in enumerate(arms, 1)] + sets)
    return figure


def ranks(frame: pl.DataFrame, confidence: float) -> "Figure":
    """Effects against the adapter's rank: evaluation sets down, accuracy and tests across, a line per training set."""
    if frame.is_empty():
        return style.nothing(_NO_RANKS)
    sets, things = _sets(frame), _things(frame)
    lines = frame.select("model", "train_set", "ablation").unique(maintain_order=True)
    figure, panels = style.panels(len(sets), len(things), 2.6, 1.9, sharex=True, sharey="col")
    for name, row_of_panels in zip(sets, panels, strict=True):
        for what, panel in zip(things, row_of_panels, strict=True):
            panel.axhline(0, color="black", linewidth=0.6)
            for i, line in enumerate(lines.rows(named=True)):
                points = frame.filter(**line, eval_set=name, what=what).drop_nulls(["effect", "low"]).sort("rank")
                # Slightly apart, so that no line hides another.
                x, look = points["rank"] * 1.03**i, style.look(i)
                panel.plot(x, points["effect"], markersize=4, linewidth=1.2, **look)
                panel.vlines(x, points["low"], points["high"], color=look["color"], linewidth=0.8)
            panel.set_xscale("log", base=2)
            panel.grid(alpha=0.3)
        row_of_panels[0].set_ylabel(f"{SETS.get(name, name)}\nchange from base", fontsize=8)
    known = frame["rank"].unique().sort().to_list()
    for what, top, bottom in zip(things, panels[0], panels[-1], strict=True):
        top.set_title(_title(what), fontsize=9)
        bottom.set_xticks(known, known)
        bottom.minorticks_off()
        bottom.set_xlabel("rank of the adapter", fontsize=8)
    figure.suptitle(f"Change from base by rank, {100 * confidence:g} % intervals", fontsize=10)
    style.legend(figure, [style.handle(i) for i in range(lines.height)], _named(lines))
    return figure


def _named(lines: pl.DataFrame) -> list[str]:
    """The training set of each line, with the model or tunings where needed to tell lines apart."""
    several = lines["model"].n_unique() > 1
    alone = lines.select(pl.len().over("model", "train_set") == 1).to_series()
    return [
        (f"{model}, " if several else "") + f"tuned on {train_set}" + ("" if single else f" ({ablation})")
        for (model, train_set, ablation), single in zip(lines.rows(), alone, strict=True)
    ]


def _number(row: dict) -> str:
    return f"{round(row['effect'], 2) + 0.0:+.2f}{'†' * row['at_chance']}"


def _name(frame: pl.DataFrame, row: dict) -> str:
    return f"{row['model']} {row['arm']}" if frame["model"].n_unique() > 1 else row["arm"]


def _looks(frame: pl.DataFrame) -> style.ArmLooks:
    return style.ArmLooks(frame.select("model", "arm").unique(maintain_order=True).rows())


def _arms(frame: pl.DataFrame) -> list[str]:
    rows = frame.select("model", "arm").unique(maintain_order=True).rows(named=True)
    return [_name(frame, row) for row in rows]


def _sets(frame: pl.DataFrame) -> list[str]:
    """Evaluation sets in their order, the average last."""
    sets = frame["eval_set"].unique(maintain_order=True).to_list()
    return sorted(sets, key=lambda name: name in AVERAGES)


def _things(frame: pl.DataFrame) -> list[str]:
    return [what for what in (ACCURACY, *BY_STEPS) if what in frame["what"]]


def _title(what: str) -> str:
    if what == ACCURACY:
        return f"{METRICS[what].title} with chain"
    return f"{METRICS['faithfulness'].title},\n{TITLES[what]}"
