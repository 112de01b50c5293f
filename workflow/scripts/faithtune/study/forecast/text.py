"""The text of a forecast, with the spending so far."""

import polars as pl

from faithtune.hosts.spend import prices
from faithtune.hosts.spend.summary import known_sum
from faithtune.study.forecast.stages import STEP_TOKENS, STEPS

_NAMES = ("model", "arm", "stage")
_NUMBERS = {
    "calls": "calls",
    "prompt_tokens": "prompt",
    "completion_tokens": "completion",
    "usd": "USD",
    "calls_left": "left",
    "usd_left": "USD left",
    "usd_left_most": "at most",
}


def text(frame: pl.DataFrame, ledger: pl.DataFrame, budget_usd: float | None, table: prices.Prices) -> str:
    """FORECAST by model, arm and stage, summed over the evaluation sets; ledger: SPEND of the calls so far."""
    if frame.is_empty():
        return "No model of this study is at a host: nothing to pay."
    stages = frame.group_by(_NAMES, maintain_order=True).agg(*_sums(), pl.any("assumed"))
    total = frame.select(*_sums(), pl.any("assumed"))
    rows = [(*row, mark) for *row, mark in stages.rows()] + [("all", "", "", *row) for row in total.rows()]
    cells = [[*_NAMES, *_NUMBERS.values()]]
    for *row, assumed in rows:
        names, numbers = row[: len(_NAMES)], dict(zip(_NUMBERS, row[len(_NAMES) :], strict=True))
        cells.append([*names, *(_number(name, value) for name, value in numbers.items())])
        cells[-1][2] += " ~" * assumed
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = []
    for row in cells:
        names = [cell.ljust(width) for cell, width in zip(row[:3], widths, strict=False)]
        lines.append("  ".join([*names, *(cell.rjust(width) for cell, width in zip(row[3:], widths[3:], strict=True))]))
    return "\n".join([*lines, "", *_notes(frame, total.row(0, named=True), ledger, budget_usd, table)])


def _notes(frame: pl.DataFrame, total: dict, ledger: pl.DataFrame, budget_usd: float | None, table: prices.Prices):
    yield (
        "left: calls whose answers are not stored yet. at most: what a budget must allow, with the longest answers and"
        " every second attempt."
    )
    if total["assumed"]:
        yield (
            f"~: assumes chains that are not written yet, of {STEPS} steps with {STEP_TOKENS} tokens each; forecast"
            " again once some chains exist."
        )
    for model, training in frame.select("host_model", pl.col("stage") == "tune").unique(maintain_order=True).rows():
        if add := prices.lacking(table, model, training):
            yield f"The price of {model} is unknown: add {add} (resources/prices.yaml says how)."
    calls = ledger.filter(pl.col("state") != "released")
    usd = calls.select(known_sum(pl.col("usd"))).item()
    yield f"Spent so far: {_usd(usd)} USD, paid or reserved, in {calls.height:,} calls."
    if budget_usd is None:
        yield "Without budget_usd no call is refused for its cost."
        return
    left = None if usd is None else budget_usd - usd
    line = f"Of budget_usd {budget_usd:g}, {_usd(left)} USD are left"
    if left is not None and total["usd_left"] is not None:
        verdict = "enough" if total["usd_left_most"] <= left else "probably enough"
        line += f": {verdict if total['usd_left'] <= left else 'NOT enough'} for the calls left"
    yield line + "."


def _sums() -> list[pl.Expr]:
    """Sums of the columns; null if any value is null."""
    return [known_sum(pl.col(name)).alias(name) for name in _NUMBERS]


def _number(name: str, value: float | None) -> str:
    return _usd(value) if name.startswith("usd") else f"{value:,}"


def _usd(value: float | None) -> str:
    return "?" if value is None else f"{value:,.4f}"
