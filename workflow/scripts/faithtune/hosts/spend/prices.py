"""What tokens cost: published prices by model, in USD per million tokens.

`resources/prices.yaml` says at its head what a row holds; a study's own rows go before it.
Whatever a row does not say is reckoned at the higher price: no cache, no discount for a batch.
A model that no row prices costs None, never a guess.
"""

import datetime
import difflib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from faithtune.core import paths
from faithtune.core.errors import UserError

SHIPPED = paths.REPOSITORY / "resources/prices.yaml"

_RATES = ("prompt", "completion", "cached")
_TUNED = (*_RATES, "batch")
_ROW = (*_TUNED, "training", "fine_tuned", "date", "source")
_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$")


@dataclass(frozen=True)
class Rates:
    """USD per million tokens."""

    prompt: float
    completion: float
    cached: float  # prompt tokens that the host had in its cache


@dataclass(frozen=True)
class Price:
    """What a model costs, by the row `row` of a price table."""

    row: str
    calls: Rates
    batch: Rates
    training: float | None  # USD per million trained tokens; None: nobody says
    date: datetime.date
    source: str


# What a model costs that one serves oneself.
FREE = Price("", *[Rates(0.0, 0.0, 0.0)] * 2, training=0.0, date=datetime.date.min, source="one's own server")

# By name of the model, and ft:NAME for what was tuned from it; the study's own table first.
Prices = tuple[dict[str, Price], ...]


def load(own: str | Path | dict | None = None, shipped: str | Path = SHIPPED) -> Prices:
    """The study's own prices (a file, or its rows), then the shipped ones.

    UserError naming file, row and key where a table is not as it should be.
    """
    tables = [_table(_read(shipped), str(shipped))]
    if isinstance(own, dict):
        tables.insert(0, _table(own, "config: prices"))
    elif own is not None:
        tables.insert(0, _table(_read(own), str(own)))
    return tuple(tables)


def price_of(prices: Prices, model: str) -> Price | None:
    """The price of a host's model: by its name, else by its family's if it is a date longer.

    A tuned model (ft:BASE:...) has the price that BASE's row gives for those. None: no row prices it.
    """
    name = _unsuffixed(model)
    for table in prices:
        for candidate in (model, name, _family(name)):
            if candidate in table:
                return table[candidate]
            if candidate.removeprefix("ft:") in table:  # which says nothing of tuned models
                return None
    return None


def required(prices: Prices, model: str, training: bool = False) -> Price:
    """The price of a model under a budget; UserError saying which row to add where there is none."""
    price, add = price_of(prices, model), lacking(prices, model, training)
    if add is None:
        return price
    what = "training" if price else "a call"
    raise UserError(
        f"config: budget_usd is set, but no price says what {what} of {model!r} costs; add {add} ({SHIPPED.name} says"
        " how), or remove budget_usd"
    )


def lacking(prices: Prices, model: str, training: bool = False) -> str | None:
    """What is to be added to the prices, so that they say what the model costs; None: they do."""
    price = price_of(prices, model)
    base = _unsuffixed(model).removeprefix("ft:")
    if price is None:
        row = price_of(prices, base)
        if row is None:
            return f"a row {base!r} (prompt, completion, date, source{', fine_tuned' * (base != model)}) to prices"
        return f"fine_tuned to the row {row.row!r} of prices"
    return f"training to the row {price.row!r} of prices" if training and price.training is None else None


def cost(
    price: Price | None, prompt_tokens: int, completion_tokens: int, cached: int = 0, batch: bool = False
) -> float | None:
    """USD of a call, `cached` of whose prompt tokens the host had in its cache; None without a price."""
    if price is None:
        return None
    rates = price.batch if batch else price.calls
    cached = min(cached, prompt_tokens)
    fresh = prompt_tokens - cached
    return (fresh * rates.prompt + cached * rates.cached + completion_tokens * rates.completion) / 1e6


def training_cost(price: Price | None, tokens: int) -> float | None:
    """USD of training on `tokens` (of the file, times epochs); None without a price for training."""
    return None if price is None or price.training is None else tokens * price.training / 1e6


def _unsuffixed(model: str) -> str:
    return re.sub(r"^(ft:[^:]+):.*", r"\1", model)


def _family(name: str) -> str:
    return _DATE.sub("", name)


class _Loader(yaml.SafeLoader):
    """YAML, but for a row that is given twice, of which plain YAML drops the first."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        twice = next((key for i, key in enumerate(keys) if key in keys[:i]), None)
        if twice is not None:
            raise yaml.constructor.ConstructorError(None, None, f"{twice!r} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)


def _read(path: str | Path) -> dict:
    try:
        return yaml.load(Path(path).read_text(encoding="utf-8"), _Loader) or {}
    except OSError as error:
        raise UserError(f"{path}: prices cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date such as 2026-02-30
        raise UserError(f"{path}: prices are not readable YAML: {error}") from None


def _table(rows: object, where: str) -> dict[str, Price]:
    if not isinstance(rows, dict):
        raise UserError(f"{where}: it holds {rows!r}; expected rows by name of the model")
    table = {}
    for name, row in rows.items():
        at = f"{where}: {name}"
        _check_keys(row, _ROW, ("prompt", "completion", "date", "source"), at)
        common = {
            "row": str(name),
            "training": _number(row, "training", at),
            "date": _date(row["date"], at),
            "source": _source(row["source"], at),
        }
        table[str(name)] = Price(calls=_rates(row, at), batch=_batch(row, at), **common)
        tuned = row.get("fine_tuned")
        if tuned == "same":
            tuned = {key: row[key] for key in _TUNED if key in row}
        if tuned is not None:
            _check_keys(tuned, _TUNED, ("prompt", "completion"), f"{at}.fine_tuned")
            calls, batch = _rates(tuned, f"{at}.fine_tuned"), _batch(tuned, f"{at}.fine_tuned")
            table[f"ft:{name}"] = Price(calls=calls, batch=batch, **common)
    return table


def _batch(row: dict, at: str) -> Rates:
    given, full = row.get("batch"), _rates(row, at)
    if isinstance(given, dict):
        _check_keys(given, _RATES, ("prompt", "completion"), f"{at}.batch")
        return _rates(given, f"{at}.batch")
    if given is None:
        return full
    if not _is_number(given) or given > 1:
        raise UserError(f"{at}.batch is {given!r}; expected a factor, 0 to 1, or {{prompt, completion, cached}}")
    return Rates(full.prompt * given, full.completion * given, full.cached * given)


def _rates(row: dict, at: str) -> Rates:
    prompt, completion, cached = (_number(row, key, at) for key in _RATES)
    return Rates(prompt, completion, prompt if cached is None else cached)


def _check_keys(row: object, known: tuple[str, ...], needed: tuple[str, ...], at: str) -> None:
    if not isinstance(row, dict):
        raise UserError(f"{at} is {row!r}; expected the keys {', '.join(needed)}")
    for key in row:
        if key not in known:
            close = difflib.get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
            raise UserError(f"{at} has the unknown key {key!r}; {hint}")
    for key in needed:
        if row.get(key) is None:
            raise UserError(f"{at} lacks the key {key!r}")


def _number(row: dict, key: str, at: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if not _is_number(value):
        raise UserError(f"{at}.{key} is {value!r}; expected USD per million tokens, 0 or more")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < math.inf


def _date(value: object, at: str) -> datetime.date:
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    try:
        return datetime.date.fromisoformat(value)
    except (TypeError, ValueError):
        raise UserError(f"{at}.date is {str(value)!r}; expected a date, such as 2026-02-07") from None


def _source(value: object, at: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UserError(f"{at}.source is {value!r}; expected where the price was read, an address")
    return value.strip()
