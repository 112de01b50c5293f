"""What tokens cost: published prices by model, in USD per million tokens.

The head of `resources/prices.yaml` describes a row; the study's own rows take precedence. Whatever a row leaves out is
charged at the higher price: no cache, no batch discount. A model without a row costs None, never a guess.
"""

import datetime
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag

from faithtune.core import paths
from faithtune.core.errors import UserError, short_repr

SHIPPED = paths.REPOSITORY / "resources/prices.yaml"

_DATE = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8}|\d{4})$")


@dataclass(frozen=True)
class Rates:
    """USD per million tokens."""

    prompt: float
    completion: float
    cached: float  # prompt tokens in the host's cache


@dataclass(frozen=True)
class Price:
    """What a model costs, by the row `row` of a price table."""

    row: str
    calls: Rates
    batch: Rates
    training: float | None  # USD per million trained tokens; None: unknown
    date: datetime.date
    source: str


# The price of a model on one's own server.
FREE = Price("", *[Rates(0.0, 0.0, 0.0)] * 2, training=0.0, date=datetime.date.min, source="one's own server")

# By name of the model, and ft:NAME for models tuned from it; the study's own table first.
Prices = tuple[dict[str, Price], ...]

# The format of a table

_Usd = Annotated[float, Field(ge=0)]


class _RatesRow(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
    prompt: _Usd
    completion: _Usd
    cached: _Usd | None = None

    def rates(self, factor: float = 1.0) -> Rates:
        cached = self.prompt if self.cached is None else self.cached
        return Rates(self.prompt * factor, self.completion * factor, cached * factor)


class _CallsRow(_RatesRow):
    # A factor, or prices.
    batch: Annotated[
        Annotated[float, Field(ge=0, le=1), Tag("factor")] | Annotated[_RatesRow, Tag("rates")],
        Discriminator(lambda value: "rates" if isinstance(value, dict) else "factor"),
    ] = 1.0

    def batch_rates(self) -> Rates:
        return self.rates(self.batch) if isinstance(self.batch, float) else self.batch.rates()


class _Row(_CallsRow):
    training: _Usd | None = None
    fine_tuned: Annotated[
        Annotated[Literal["same"], Tag("same")] | Annotated[_CallsRow, Tag("rates")],
        Discriminator(lambda value: "rates" if isinstance(value, dict) else "same"),
    ] = None
    date: Annotated[datetime.date, Field(strict=False)]
    source: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


_TAGS = ("factor", "rates", "same")  # pydantic names the alternative that it tried
_TABLE = pydantic.TypeAdapter(dict[str, _Row])


def load(own: str | Path | dict | None = None, shipped: str | Path = SHIPPED) -> Prices:
    """The study's own prices (a file, or its rows), then the shipped ones.

    UserError naming file, row and key if a table is wrong.
    """
    tables = [_table(_read(shipped), str(shipped))]
    if isinstance(own, dict):
        tables.insert(0, _table(own, "config: prices"))
    elif own is not None:
        tables.insert(0, _table(_read(own), str(own)))
    return tuple(tables)


def price_of(prices: Prices, model: str) -> Price | None:
    """The price of a host's model: by its name, or by its family's name if it ends with a date.

    A tuned model (ft:BASE:...) has the price that BASE's row gives for tuned models. None: no row has the price.
    """
    name = _unsuffixed(model)
    for table in prices:
        for candidate in (model, name, _family(name)):
            if candidate in table:
                return table[candidate]
            if candidate.removeprefix("ft:") in table:  # the row has no price for tuned models
                return None
    return None


def required(prices: Prices, model: str, training: bool = False) -> Price:
    """The price of a model under a budget; UserError naming the row to add if there is none."""
    price, add = price_of(prices, model), lacking(prices, model, training)
    if add is None:
        return price
    what = "training" if price else "a call"
    raise UserError(
        f"config: budget_usd is set, but no price says what {what} of {model!r} costs; add {add} ({SHIPPED.name} says"
        " how), or remove budget_usd"
    )


def lacking(prices: Prices, model: str, training: bool = False) -> str | None:
    """What to add to the prices so that they cover the model; None: nothing."""
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
    """USD of a call; None without a price. cached: how many of the prompt tokens the host had in its cache."""
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


def _read(path: str | Path) -> object:
    try:
        return yaml.safe_load(Path(path).read_text(encoding="utf-8")) or {}
    except OSError as error:
        raise UserError(f"{path}: prices cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8, or a date such as 2026-02-30
        raise UserError(f"{path}: prices are not readable YAML: {error}") from None


def _table(content: object, where: str) -> dict[str, Price]:
    """Prices by model; `where` names the table in a UserError."""
    try:
        rows = _TABLE.validate_python(content)
    except pydantic.ValidationError as error:
        raise UserError(f"{where}: {_message(error.errors()[0])}") from None
    table = {}
    for name, row in rows.items():
        common = {"row": name, "training": row.training, "date": row.date, "source": row.source}
        table[name] = Price(calls=row.rates(), batch=row.batch_rates(), **common)
        tuned = row if row.fine_tuned == "same" else row.fine_tuned
        if tuned is not None:
            table[f"ft:{name}"] = Price(calls=tuned.rates(), batch=tuned.batch_rates(), **common)
    return table


def _message(error: dict) -> str:
    key = ".".join(str(part) for part in error["loc"] if part not in _TAGS) or "the table"
    if error["type"] == "missing":
        return f"{key} is missing"
    if error["type"] == "extra_forbidden":
        return f"{key} is an unknown key; expected {', '.join(_Row.model_fields)}"
    if error["type"] in ("dict_type", "model_type"):
        return (
            f"{key} is {short_repr(error['input'])}; expected rows by model, each with prompt, completion, date, source"
        )
    return f"{key} is {short_repr(error['input'])}; {error['msg']}"
