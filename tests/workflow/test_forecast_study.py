"""The forecast of `snakemake estimate` for a study at the stand-in host, before and after asking the host."""

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.spend import FORECAST, SPEND
from faithtune.hosts.spend import summary
from standin.host import StandIn
from study import Study, write_choices

KEY = "sk-forecast-0123456789"
PRICES = {
    "m": {
        "prompt": 2.0,
        "completion": 8.0,
        "fine_tuned": {"prompt": 3.0, "completion": 12.0},
        "date": "2026-01-01",
        "source": "the tests",
    }
}
BY = ["model", "arm", "stage"]
TARGETS = ("results/tables/spend.md", "results/spend.parquet")


def reply(body: dict) -> str:
    """A chain of three steps, an answer, or a paraphrase that passes its gate or fails."""
    texts = [body["prompt"]] if "prompt" in body else [message["content"] for message in body["messages"]]
    letter = "letter" in texts[0] or "A." in texts[0]
    if "In other words:" in texts[-1]:
        return " After that: " + texts[-1].rsplit("Line: ", 1)[-1].splitlines()[0]
    if texts[-1].rstrip().endswith("Final Answer:") or (len(texts) > 1 and "only" in texts[-1]):
        return " B" if letter else " 7"
    first = "Start with" if body["model"] == "ft:m:x" else "Take"
    return f"Step 1: {first} 3.\nStep 2: Add 4 to it.\nStep 3: That is 7.\nFinal Answer: {'B' if letter else '7'}"


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    """A study of two hosted models, estimated, then run up to its spend table, then estimated again."""
    folder = tmp_path_factory.mktemp("forecast")
    study = Study(folder, folder)
    with pytest.MonkeyPatch.context() as patch, StandIn(reply=reply, models={"m": {}, "ft:m:x": {}}, key=KEY) as host:
        patch.setenv("FORECAST_KEY", KEY)
        common = {"base_url": host.url, "api_key_env": "FORECAST_KEY", "model": "m", "concurrency": 2}
        study.config = {
            "prompts": study.config["prompts"],
            "models": {
                "told": {"api": common | {"endpoint": "chat", "arms": {"x-arithmetic-0": "ft:m:x"}}},
                "continued": {"api": common | {"endpoint": "completions", "abilities": ["continue", "logprobs"]}},
            },
            "data_sets": {
                "arithmetic": {"eval": {"n": 3}},
                "colours": {"reader": "siqa", "eval": {"source": str(write_choices(folder / "choices.jsonl")), "n": 3}},
            },
            "eval_sets": ["arithmetic", "colours"],
            "tests": ["early_termination", "filler", "paraphrase", "mistake", "prefix_paraphrase", "filler_sweep"],
            "sweep": {"longest": 10},
            "shifts": {"colours_shuffled": {"of": "colours", "options": "shuffled"}},
            "crossing": {"n": 2},
            "answers": {"again": 2},
            "prices": PRICES,
            "budget_usd": 1.5,
        }
        study.printed = study.run("estimate")
        study.called_before = len(host.journal.calls)
        study.before = parquet.read(folder / "results/forecast.parquet", FORECAST)
        study.run(*TARGETS)
        called = len(host.journal.calls)
        study.printed_after = study.run("estimate")
        study.called_after = len(host.journal.calls) - called
        study.after = parquet.read(folder / "results/forecast.parquet", FORECAST)
    study.spent = parquet.read(folder / "results/spend.parquet", SPEND)
    return study


def test_estimating_asks_nothing(study):
    assert (study.called_before, study.called_after) == (0, 0)


def test_before_anything_is_asked(study):
    assert study.before["assumed"].all()
    assert study.before["calls_left"].equals(study.before["calls"])
    assert "Spent so far: 0.0000 USD, paid or reserved, in 0 calls." in study.printed
    assert "Of budget_usd 1.5, 1.5000 USD are left: " in study.printed
    assert "told   " in study.printed and "x-arithmetic-0  regenerations ~" in study.printed


def test_the_forecast_of_a_finished_study_is_what_was_asked(study):
    sums = study.after.group_by(BY).agg(pl.sum("calls", "prompt_tokens", "completion_tokens", "usd", "calls_left"))
    both = sums.join(summary.summary(study.spent), on=BY, how="full", suffix="_spent")
    # Six stages of two arms; `continued` has base alone, and does not paraphrase.
    assert both.height == sums.height == 15
    assert both["calls"].to_list() == both["calls_spent"].to_list()
    assert not study.after["assumed"].any()
    assert set(sums["calls_left"]) == {0}
    # The forecast takes four bytes for a token; the host counts words, signs and the framing of messages.
    ratio = both["prompt_tokens_spent"] / both["prompt_tokens"]
    assert ratio.min() > 0.7 and ratio.max() < 1.5
    assert 0.6 < study.spent["usd"].sum() / study.after["usd"].sum() < 1.6


def test_what_is_kept_is_not_left(study):
    made = study.spent.height
    assert f"in {made} calls." in study.printed_after.replace(",", "")
    assert study.after["usd_left_most"].sum() == 0
    assert "enough for the calls left" in study.printed_after


def test_the_ledger_is_a_table(study):
    text = (study.folder / "results/tables/spend.md").read_text()
    table = parquet.read(study.folder / "results/tables/spend.parquet", summary.SUMMARY)
    total = table.row(-1, named=True)
    assert (total["model"], total["calls"], total["unsettled"]) == ("all", study.spent.height, 0)
    assert total["usd_paid"] == pytest.approx(study.spent["usd"].sum())
    assert f"| {total['usd_paid']:.4f} " in text and "| told " in text
    assert not study.snakemake("-n", "--quiet", "rules", "--", *TARGETS).stdout.count("spend ")


def test_a_forecast_is_made_again_whenever_it_is_a_target(study):
    assert "estimate" in study.snakemake("-n", "--", "estimate").stdout.split("Job stats:")[1]
