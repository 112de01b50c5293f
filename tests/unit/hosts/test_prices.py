"""Prices: of the right row, never guessed, refused in one line where a table is wrong."""

import copy
import datetime
from pathlib import Path

import pytest
import yaml

from faithtune.core.errors import UserError
from faithtune.hosts.spend import prices

SHIPPED = Path(__file__).parents[3] / "resources/prices.yaml"
# Made-up prices, of no host.
ROW = {"prompt": 3.0, "completion": 7.0, "date": "2026-01-02", "source": "https://host/prices"}
FULL = ROW | {
    "cached": 1.0,
    "batch": 0.5,
    "training": 20.0,
    "fine_tuned": {"prompt": 4.0, "completion": 8.0, "batch": {"prompt": 1.0, "completion": 3.0, "cached": 0.5}},
}


def table(**rows) -> prices.Prices:
    return prices.load({name.replace("_", "-"): row for name, row in rows.items()})[:1]


def test_every_shipped_row_says_when_and_where():
    [shipped] = prices.load()
    assert len(shipped) >= 10
    for price in shipped.values():
        assert price.source.startswith("https://")
        assert datetime.date(2025, 1, 1) < price.date < datetime.date(2030, 1, 1)
        assert 0 < price.batch.prompt <= price.calls.prompt < price.calls.completion
        assert price.calls.cached <= price.calls.prompt


def test_the_shipped_head_shows_a_row_that_is_legal():
    lines = SHIPPED.read_text(encoding="utf-8").splitlines()
    head = lines[: next(i for i, line in enumerate(lines) if not line.startswith("#"))]
    start = next(i for i, line in enumerate(head) if line.strip() == "#   MODEL:")
    example = [line.removeprefix("#   ") for line in head[start:] if line.startswith("#   ")]
    [price, tuned] = prices.load(yaml.safe_load("\n".join(example)))[0].values()
    assert price.batch.completion == price.calls.completion / 2
    assert tuned.calls == price.calls


@pytest.mark.parametrize(
    ("model", "row"),
    [
        ("gpt", "gpt"),
        ("gpt-2025-04-14", "gpt"),
        ("gpt-0613", "gpt"),
        ("gpt-20250414", "gpt"),
        ("gpt-mini-2024-07-18", "gpt-mini"),
        ("gpt-2024-05-13", "gpt-2024-05-13"),
        ("gpt-nano", None),
        ("gpt-4", None),
        ("gpt-2025-04-14-preview", None),
        ("GPT", None),
        ("ft:gpt-2025-04-14:org::id", "ft:gpt"),
        ("ft:gpt:org:suffix:id:ckpt-step-714", "ft:gpt"),
        ("ft:gpt-2024-05-13:org::id", None),  # its own row says nothing of tuned models
        ("ft:gpt-mini-2024-07-18:org::id", None),
        ("ft:own:org::id", "ft:own:org::id"),
        ("org/gpt-2025-04-14", None),
    ],
)
def test_a_name_finds_its_row(model, row):
    rows = {"gpt": FULL, "gpt-mini": ROW, "gpt-2024-05-13": ROW, "ft:own:org::id": ROW}
    known = prices.load(rows)[:1]
    assert prices.price_of(known, model) == (None if row is None else known[0][row])


def test_a_study_s_own_rows_go_before_the_shipped_ones(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump({"gpt-4o": ROW}))
    for own in (path, str(path), {"gpt-4o": ROW}):
        known = prices.load(own)
        assert prices.price_of(known, "gpt-4o-2024-05-13").calls.prompt == 3.0
        assert prices.price_of(known, "gpt-4.1").row == "gpt-4.1"


def test_what_a_call_costs():
    price = prices.price_of(table(gpt=FULL), "gpt")
    assert prices.cost(price, 1_000_000, 0) == 3.0
    assert prices.cost(price, 1000, 100) == pytest.approx((1000 * 3 + 100 * 7) / 1e6)
    assert prices.cost(price, 1000, 100, cached=400) == pytest.approx((600 * 3 + 400 * 1 + 100 * 7) / 1e6)
    assert prices.cost(price, 1000, 100, cached=400, batch=True) == pytest.approx(
        prices.cost(price, 1000, 100, cached=400) / 2
    )
    tuned = prices.price_of(table(gpt=FULL), "ft:gpt:org::id")
    assert prices.cost(tuned, 1000, 100, cached=1000) == pytest.approx((1000 * 4 + 100 * 8) / 1e6)
    assert prices.cost(tuned, 1000, 100, cached=400, batch=True) == pytest.approx((600 + 400 * 0.5 + 300) / 1e6)
    assert prices.training_cost(price, 2_000_000) == prices.training_cost(tuned, 2_000_000) == 40.0


def test_what_a_row_does_not_say_is_never_cheaper():
    price = prices.price_of(table(gpt=ROW), "gpt")
    assert prices.cost(price, 10, 5, cached=10) == prices.cost(price, 10, 5, batch=True) == prices.cost(price, 10, 5)
    assert prices.training_cost(price, 10) is None
    assert prices.cost(prices.price_of(table(gpt=ROW | {"batch": 0}), "gpt"), 10, 5, batch=True) == 0


def test_no_price_no_cost():
    assert prices.price_of(prices.load(), "nobody's") is None
    assert prices.cost(None, 10, 5) is None
    assert prices.training_cost(None, 10) is None


@pytest.mark.parametrize(
    ("model", "training", "adds"),
    [
        ("who-2025-04-14", False, "a row 'who-2025-04-14' (prompt, completion, date, source) to prices ("),
        ("ft:who:org::id", False, "a row 'who' (prompt, completion, date, source, fine_tuned) to prices ("),
        ("ft:plain-2025-04-14:org::id", False, "fine_tuned to the row 'plain' of prices ("),
        ("plain", True, "training to the row 'plain' of prices ("),
    ],
)
def test_a_budget_names_the_row_that_is_missing(model, training, adds):
    known = table(gpt=FULL, plain=ROW)
    with pytest.raises(UserError, match=r"^config: budget_usd") as error:
        prices.required(known, model, training)
    assert f"add {adds}" in str(error.value)
    assert repr(model) in str(error.value)
    assert prices.required(known, "gpt-2025-04-14", training=True).row == "gpt"


@pytest.mark.parametrize(
    ("keys", "value", "told"),
    [
        (["prompt"], -1, "gpt.prompt is -1; Input should be greater than or equal to 0"),
        (["prompt"], True, "gpt.prompt is True"),
        (["completion"], "2", "gpt.completion is '2'"),
        (["cached"], float("nan"), "gpt.cached is nan"),
        (["training"], float("inf"), "gpt.training is inf"),
        (["batch"], 2, "gpt.batch is 2; Input should be less than or equal to 1"),
        (["batch"], "half", "gpt.batch is 'half'"),
        (["batch"], {"prompt": 1.0}, "gpt.batch.completion is missing"),
        (
            ["batch"],
            {"prompt": 1.0, "completion": 1.0, "input": 1},
            "gpt.batch.input is an unknown key; expected prompt",
        ),
        (["fine_tuned"], "less", "gpt.fine_tuned is 'less'; Input should be 'same'"),
        (["fine_tuned", "prompt"], -1, "gpt.fine_tuned.prompt is -1"),
        (["fine_tuned", "batch", "cached"], "x", "gpt.fine_tuned.batch.cached is 'x'"),
        (["fine_tuned", "date"], "2026-01-02", "gpt.fine_tuned.date is an unknown key"),
        (["promt"], 1, "gpt.promt is an unknown key; expected prompt, completion, cached, batch"),
        (["prompt"], None, "gpt.prompt is None"),
        (["source"], " ", "gpt.source is ' '"),
        (["date"], "last year", "gpt.date is 'last year'; Input should be a valid date"),
        (["date"], 2026, "gpt.date is 2026"),
        ([], 3, "gpt is 3; expected rows by model, each with prompt"),
    ],
)
def test_a_wrong_row_is_told_in_one_line(tmp_path, keys, value, told):
    rows = {"gpt": copy.deepcopy(FULL)}
    part = rows
    for key in ["gpt", *keys][:-1]:
        part = part[key]
    part[["gpt", *keys][-1]] = value
    path = tmp_path / "own.yaml"
    path.write_text(yaml.safe_dump(rows))
    for own, where in ((rows, "config: prices"), (path, str(path))):
        with pytest.raises(UserError) as error:
            prices.load(own)
        assert str(error.value).startswith(f"{where}: {told}")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gpt: {prompt: 1, completion", "not readable YAML"),
        ("- gpt", "expected rows by model"),
        ("gpt: {}", r"gpt\.prompt is missing"),
        ("gpt: {date: 2026-02-30}", "not readable YAML"),
    ],
)
def test_a_wrong_file_is_told_in_one_line(tmp_path, text, told):
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=told) as error:
        prices.load(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"own\.yaml: prices cannot be read \(No such file"):
        prices.load(tmp_path / "own.yaml")


def test_an_empty_file_prices_nothing(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("# none yet\n")
    assert prices.load(path)[0] == {}
