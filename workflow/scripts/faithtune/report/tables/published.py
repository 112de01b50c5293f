"""Published numbers, transcribed by a person, beside the same cells of this study.

A row without the name of its transcriber is refused, and a cell without a transcribed number is null.
`resources/published/README.md` explains the columns of the file.
"""

import math
import re
from pathlib import Path

import polars as pl

from faithtune.core import user_files
from faithtune.core.errors import UserError
from faithtune.interventions.registry import having
from faithtune.measures.metrics.registry import METRICS

COLUMNS = (
    *("source_version", "table", "llm", "ft_set", "rank", "eval_set", "metric", "alpha", "cot", "value", "unit"),
    *("note", "transcribed_by", "checked_by"),
)
SOURCE_VERSIONS = ("v1", "v2", "acl")
TABLES = tuple(f"T{number}" for number in range(1, 9))  # those of this study that could hold the cell
UNITS = {"share": 1.0, "percent": 0.01}
# metric in the file: (test, or None where the column `cot` decides it; metric of ESTIMATES)
TRANSCRIBED = {"accuracy": (None, "accuracy"), "accuracy_effect": (None, "accuracy_effect")} | {
    f"{test}_{metric}": (test, metric) for test in having(source="paper") for metric in ("match", "match_effect")
}
_COT = {"with": "cot", "without": "no_cot"}
_NAMES = ("model", "train_set", "eval_set")
_KEY = (*_NAMES, "test", "alpha", "metric")

# A cell of this study, a published number, or both.
COMPARISON = pl.Schema(
    {
        "model": pl.String,
        "arm": pl.String,  # null if the study has no such arm
        "train_set": pl.String,  # null for base
        "eval_set": pl.String,
        "test": pl.String,
        "alpha": pl.Float64,
        "metric": pl.String,
        "published": pl.Float64,  # share or difference of shares; null: not transcribed
        "source_version": pl.String,  # of the paper: v1 | v2 | acl
        "checked": pl.Boolean,  # by a second person; null without a published number
        "estimate": pl.Float64,  # of this study; null where it has no such cell
        "low": pl.Float64,
        "high": pl.Float64,
        "n": pl.Int64,  # answers the estimate rests on
        "inside": pl.Boolean,  # the published number is inside this study's interval; null where either is missing
        "sign_agrees": pl.Boolean,  # for an effect; null otherwise
        "note": pl.String,  # of who transcribed the number
    }
)


def load(path: str | Path) -> list[dict]:
    """The checked rows of published.csv: {model, train_set, rank, eval_set, test, metric, alpha, published, ...}.

    UserError naming file and line where a column, a transcriber or a legal value is missing,
    or a cell is given twice.
    """
    text = user_files.text(user_files.contents(path), str(path))
    rows = {}
    for line, raw in user_files.records(text, str(path), COLUMNS):
        row = _checked(raw, f"{path}: line {line}")
        key = tuple(row[name] for name in ("source_version", *_KEY, "rank"))
        if key in rows:
            raise UserError(f"{path}: line {line}: this cell is given twice; expected one row each")
        rows[key] = row
    return list(rows.values())


def compare(estimates: pl.DataFrame, rows: list[dict], arms: list[dict]) -> pl.DataFrame:
    """COMPARISON: every cell of the paper's kind that the study has, then published cells that the study does not have.

    A published row matches the arms with its model, training set and, if it names one, rank. arms: {model, arm, rank}.
    Names are compared in the configuration's spelling (`name`).
    """
    ranks = {(arm["model"], arm["arm"]): arm.get("rank") for arm in arms}
    ours = estimates.filter(
        pl.any_horizontal(
            (pl.col("metric") == metric) & pl.col("test").is_in([test] if test else list(_COT.values()))
            for test, metric in TRANSCRIBED.values()
        ),
        pl.col("eval_set") != "average_out_of_domain",
    )
    met, found = set(), []
    for cell in ours.rows(named=True):
        fitting = [
            i
            for i, row in enumerate(rows)
            if all(row[key] == (name(cell[key]) if key in _NAMES else cell[key]) for key in _KEY)
            and row["rank"] in (None, ranks.get((cell["model"], cell["arm"])))
        ]
        met.update(fitting)
        found += [_compared(cell, rows[i]) for i in fitting] or [_compared(cell, {})]
    found += [_compared({}, row) for i, row in enumerate(rows) if i not in met]
    return pl.DataFrame(found, schema=COMPARISON)


def name(text: str | None) -> str | None:
    """A name in the configuration's spelling: "Llama-3-8b-Instruct" -> "llama_3_8b_instruct"."""
    return None if text is None else re.sub(r"\W+", "_", text.strip().lower()).strip("_")


def _compared(cell: dict, row: dict) -> dict:
    value, published = cell.get("estimate"), row.get("published")
    both = value is not None and published is not None
    return {
        **{key: cell.get(key, row.get(key)) for key in (*_KEY, "arm", "estimate", "low", "high", "n")},
        **{key: row.get(key) for key in ("published", "source_version", "checked", "note")},
        "inside": cell["low"] <= published <= cell["high"] if both and cell["low"] is not None else None,
        "sign_agrees": _sign(value) == _sign(published) if both and METRICS[cell["metric"]].is_effect else None,
    }


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)


def _checked(raw: dict, where: str) -> dict:
    raw = {key: text.strip() for key, text in raw.items()}
    if not raw["transcribed_by"]:
        raise UserError(f"{where}: transcribed_by is empty; expected the name of who read the number in the paper")
    if raw["checked_by"] == raw["transcribed_by"]:
        raise UserError(f"{where}: checked_by is who transcribed it; expected a second person, or nothing yet")
    for key, known in {
        "source_version": SOURCE_VERSIONS, "table": TABLES, "metric": TRANSCRIBED, "unit": UNITS,
    }.items():  # fmt: skip
        if raw[key] not in known:
            raise UserError(f"{where}: {key} is {raw[key]!r}; expected one of {', '.join(known)}")
    for key in ("llm", "ft_set", "eval_set"):
        if not name(raw[key]):
            raise UserError(f"{where}: {key} is empty; expected a name" + " (base: not tuned)" * (key == "ft_set"))
    test, metric = TRANSCRIBED[raw["metric"]]
    if (test is None) != bool(raw["cot"]) or (test is None and raw["cot"] not in _COT):
        raise UserError(f"{where}: cot is {raw['cot']!r}; expected with or without for accuracy, else nothing")
    if metric == "match" and not raw["alpha"]:
        raise UserError(f"{where}: alpha is empty; expected the kept fraction, 0 to 1, that the match was read at")
    if test is None and raw["alpha"]:
        raise UserError(f"{where}: alpha is {raw['alpha']!r}; expected nothing for accuracy")
    effect = METRICS[metric].is_effect
    if effect and name(raw["ft_set"]) == "base":
        raise UserError(f"{where}: ft_set is base, which is no tuning; expected a training set for {raw['metric']}")
    return {
        "source_version": raw["source_version"],
        "model": name(raw["llm"]),
        "train_set": None if name(raw["ft_set"]) == "base" else name(raw["ft_set"]),
        "rank": _number(raw, "rank", where, 1, 10_000),
        "eval_set": name(raw["eval_set"]),
        "test": test or _COT[raw["cot"]],
        "metric": metric,
        "alpha": _number(raw, "alpha", where, 0, 1),
        "published": _number(raw, "value", where, -1 if effect else 0, 1, UNITS[raw["unit"]]),
        "checked": bool(raw["checked_by"]),
        "note": raw["note"] or None,
    }


def _number(raw: dict, key: str, where: str, least: float, most: float, unit: float = 1.0) -> float | None:
    """A field as a number in the study's unit; None for an empty field other than `value`."""
    if not raw[key] and key != "value":
        return None
    try:
        value = float(raw[key]) * unit
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        raise UserError(f"{where}: {key} is {raw[key]!r}; expected a number, {least / unit:g} to {most / unit:g}")
    return value
