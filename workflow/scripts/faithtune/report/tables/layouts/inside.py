"""Layouts of T19 to T21: what was found inside arms."""

import polars as pl

from faithtune.probes.registry import MEASURES
from faithtune.report.tables.cells import NOT_AVAILABLE, TableContext, counted, with_interval

# Column of T19 -> measures and part.
_HIDDEN = {
    "chain hidden": ("knockout", "chain"),
    "as many others": ("knockout", "random_chain"),
    "chain minus others": ("knockout", "chain_beyond_control"),
    "question hidden": ("knockout", "question"),
    "as many of the rest": ("knockout", "random_question"),
    "question minus others": ("knockout", "question_beyond_control"),
    "chain deleted": ("removal", "chain"),
    "question deleted": ("removal", "question"),
}
# End of a measure's name -> a line of T19.
_EFFECTS = {"changed": "answers changed", "log_p": "Δ log p", "js": "JS divergence"}
_WHAT = {"value": "", "change": ", minus base"}
_COUNTS = {"n": "n", "n_unanswered": "unanswered", "n_truncated": "truncated"}
NEEDED = tuple(f"{how}_{effect}" for how in ("knockout", "removal") for effect in _EFFECTS)
MOVED = ("weight_change", "effective_rank", "kl", "cka", "decision_layer")
# Words of T20 for a part, where its name does not do; and for a measure that is an estimate alone.
_PARTS = {
    "before": "before the chain",
    "cue": "at the cue",
    "random_chain": "others, as many as the chain",
    "random_question": "others, as many as the question",
    "chain_beyond_control": "chain minus others",
    "question_beyond_control": "question minus others",
}
_TITLES = {name: measure.title.replace("||", "‖") for name, measure in MEASURES.items()}
_TITLES |= {"linear_auc": "AUC of a linear probe"}
# `against` of CORRELATIONS -> column of T20.
_AGAINST = {name: name for name in ("faithfulness", "accuracy", "lift")}
_AGAINST |= {f"|{name}|": f"size: {name}" for name in _AGAINST}


def needed(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arm, set and effect down, of tuned arms each once more minus base; what is hidden or deleted across.

    Rows at the whole chain and over all layers. Columns that are empty everywhere are left out.
    """
    lines = []
    whole = rows.filter(pl.col("layer").is_null(), alpha=1.0)
    for part in whole.partition_by("model", "arm", "eval_set", maintain_order=True):
        labels = dict(zip(("model", "arm", "set"), part.select("model", "arm", "eval_set").row(0), strict=True))
        for effect, title in _EFFECTS.items():
            for what, minus in _WHAT.items():
                found = part.filter(pl.col("measure").str.ends_with(f"_{effect}"), what=what)
                if found.height:
                    lines.append(labels | {"of": title + minus} | _across(found, effect, what) | _counts(found))
    names = ["model", "arm", "set", "of", *_HIDDEN, *_COUNTS.values()]
    return _filled(pl.DataFrame(lines, schema=dict.fromkeys(names, pl.String)), 4)


def correlated(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """What was found inside down, in the registry's order; what its change is correlated with, and n, across."""
    lines, against = [], [name for name in _AGAINST if name in rows["against"]]
    parts, order = rows.partition_by("measure", "part", maintain_order=True), list(_TITLES)
    for part in sorted(parts, key=lambda one: order.index(one["measure"][0]) if one["measure"][0] in order else -1):
        first = part.row(0, named=True)
        line = {"change of": _TITLES.get(first["measure"], first["measure"])}
        line["part"] = _PARTS.get(first["part"], (first["part"] or "").replace("_", " "))
        by_name = {row["against"]: row | {"estimate": row["rho"]} for row in part.rows(named=True)}
        line |= {_AGAINST[name]: with_interval(by_name[name], "+") for name in against if name in by_name}
        lines.append(line | {name: _range(part[name]) for name in ("n", "arms", "models")})
    names = ["change of", "part", *(_AGAINST[name] for name in against), "n", "arms", "models"]
    return pl.DataFrame(lines, schema=dict.fromkeys(names, pl.String)).fill_null("")


def moved(rows: pl.DataFrame, study: TableContext) -> pl.DataFrame:
    """Arms and sets down, `all` for what no set changes; how far weights, states and predictions moved across.

    Columns that are empty everywhere are left out.
    """
    lines = []
    names = ["model", "arm", "set", "‖ΔW‖/‖W‖", "effective rank", "KL", "CKA", "decision layer", "minus base"]
    for arm in rows.partition_by("model", "arm", maintain_order=True):
        for part in arm.partition_by("eval_set", maintain_order=True):
            whole, first = part.filter(pl.col("layer").is_null(), what="value"), part.row(0, named=True)
            at_cue = part.filter(measure="decision_layer", part="cue")
            cells = {
                "‖ΔW‖/‖W‖": _small(whole.filter(pl.col("part").is_null(), measure="weight_change")),
                "effective rank": _counted(whole.filter(pl.col("part").is_null(), measure="effective_rank"), ""),
                "KL": _small(whole.filter(measure="kl")),
                "CKA": _counted(whole.filter(measure="cka"), ""),
                "decision layer": _counted(at_cue.filter(what="value"), ""),
                "minus base": _counted(at_cue.filter(what="change"), "+"),
            }
            if any(cells.values()):
                lines.append({"model": first["model"], "arm": first["arm"], "set": first["eval_set"] or "all"} | cells)
    return _filled(pl.DataFrame(lines, schema=dict.fromkeys(names, pl.String)), 3)


def _across(found: pl.DataFrame, effect: str, what: str) -> dict[str, str]:
    """The cells of a line of T19."""
    by_part = {(row["measure"], row["part"]): row for row in found.rows(named=True)}
    cells = {column: by_part.get((f"{how}_{effect}", part)) for column, (how, part) in _HIDDEN.items()}
    signed = "+" if what == "change" or effect == "log_p" else ""
    return {column: with_interval(row, "+" if " minus " in column else signed) for column, row in cells.items() if row}


def _counts(found: pl.DataFrame) -> dict[str, str]:
    return {title: _range(found[name]) for name, title in _COUNTS.items()}


def _range(counts: pl.Series) -> str:
    """`40 to 56`, or one number where all are equal; "" for none."""
    known = counts.drop_nulls().unique().sort()
    return " to ".join(map(str, dict.fromkeys((known[0], known[-1])))) if known.len() else ""


def _filled(frame: pl.DataFrame, n_labels: int) -> pl.DataFrame:
    """The lines of a table with "" for null, without columns that have no text; the first `n_labels` stay."""
    frame = frame.fill_null("")
    return frame.drop(name for name in frame.columns[n_labels:] if (frame[name] == "").all())


def _counted(rows: pl.DataFrame, sign: str) -> str:
    """A number with its interval and n, where it has them; "" for no rows."""
    if rows.is_empty():
        return ""
    row = rows.row(0, named=True)
    return with_interval(row, sign) if row["n"] is None else counted(row, sign)


def _small(rows: pl.DataFrame) -> str:
    """A number with two digits, however small, its interval and n where it has them; "" for no rows."""
    if rows.is_empty():
        return ""
    row = rows.row(0, named=True)
    if row["estimate"] is None:
        return NOT_AVAILABLE
    text = f"{row['estimate']:.2g}" + ("" if row["low"] is None else f" [{row['low']:.2g}, {row['high']:.2g}]")
    return text + ("" if row["n"] is None else f" ({row['n']})")
