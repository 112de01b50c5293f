"""The forecast of calls of hosts: calls, tokens and cost of studies worked by hand."""

import datetime

import polars as pl
import pytest

from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.core.schemas.spend import FORECAST, SPEND
from faithtune.data.forms import STEPS
from faithtune.hosts.host import Host
from faithtune.hosts.spend import prices, summary
from faithtune.settings.configuration import Configuration
from faithtune.settings.tunings import HostedTraining
from faithtune.study.config import load
from faithtune.study.forecast import forecast, stages
from faithtune.study.forecast import text as forecast_text
from faithtune.study.forecast.dry_run import HostedArm

ARM = {"model": "big", "arm": "base", "eval_set": "sums"}
PRICE = prices.Price(
    "m", prices.Rates(2, 8, 1), prices.Rates(1, 4, 1), 25.0, datetime.date(2026, 1, 1), "https://example.org"
)
# In words, the unit of `count`: the question's prompt has 6, "Step 1:" 2; a step has 2 and its own.
TEMPLATES = {
    "cot_number": "Think. {question}",
    "no_cot_number": "Quick. {question}",
    "cot_choice": "Think. {question}",
    "no_cot_choice": "Quick. {question}",
    "paraphrase_1": "Say {step} anew.\nIn other words:",
    "paraphrase_2": "Please say {step} anew.\nIn other words:",
    "mistake_1": "Spoil {step}\nSpoilt:",
    "chat_answer": "Now only the answer.",
    "chat_continue": "Go on.",
}


def count(text: str) -> int:
    return len(text.split())


def hosted(endpoint: str = "completions", price=PRICE, batch: bool = False, abilities=()) -> HostedArm:
    """An arm whose tokens are words; reservations count twice as many."""
    host = Host("big", "m", endpoint, abilities, None, {}, None)
    return HostedArm(host, price, batch, None, count, lambda text: 2 * count(text), TEMPLATES, "identity")


def study(tests=("early_termination",), again: int = 1, **changes) -> Configuration:
    raw = {
        "models": {"big": {"api": {"model": "m", "base_url": "https://h/v1"}}},
        "data_sets": {"sums": {"reader": "arithmetic", "eval": {}}},
        "eval_sets": ["sums"],
        "tests": list(tests),
        "sweep": {"longest": 10},
        "answers": {"again": again, "shuffle": False},
    }
    return Configuration(**raw | changes)


def questions(n: int = 1, **changes) -> pl.DataFrame:
    row = {"kind": "number", "question": "What is 3 + 4?", "options": [], "answer": "7", "group": "g"} | changes
    rows = [row | {"id": f"{i:016x}", "rationale": "Take 3.\nAdd 4."} for i in range(n)]
    return pl.DataFrame([{name: row.get(name) for name in QUESTIONS} for row in rows], schema=QUESTIONS)


def chains(*written: list[str], n_tokens: int = 10) -> pl.DataFrame:
    rows = [
        {
            "id": f"{i:016x}",
            "text": f"{STEPS.join(parts)}\nFinal Answer: 7",
            "steps": parts,
            "n_steps": len(parts),
            "n_tokens": n_tokens,
            "outcome": "answered",
        }
        for i, parts in enumerate(written)
    ]
    return pl.DataFrame([dict.fromkeys(CHAINS) | row for row in rows], schema=CHAINS)


TWO = ["Take 3.", "Add 4."]
KNOWN = {"chains": chains(TWO)}


def rows(files=None, config=None, arm=None, paraphraser=None, asked=None, **stored) -> dict[str, dict]:
    """The forecast by stage."""
    asked = questions() if asked is None else asked
    made = stages.forecast(ARM, asked, config or study(), stages.Present(files or {}, **stored), arm, paraphraser)
    assert pl.DataFrame(made, schema=FORECAST).height == len(made)
    return {row["stage"]: row for row in made}


def usd(prompt: float, completion: float, factor: float = 1) -> float:
    return pytest.approx(factor * (2 * prompt + 8 * completion) / 1e6)


def test_a_known_chain_worked_by_hand():
    found = rows(KNOWN, arm=hosted())
    assert list(found) == ["chains", "answers"]
    one = found["chains"]  # "Think. What is 3 + 4?", "Step 1:"
    assert (one["calls"], one["prompt_tokens"], one["completion_tokens"], one["assumed"]) == (1, 8, 10, False)
    assert one["usd"] == one["usd_left"] == usd(8, 10)
    assert one["usd_left_most"] == usd(16, 512)
    # no_cot 8, full 16, k = 0: 8, k = 1: 12, again 16
    answers = found["answers"]
    assert (answers["calls"], answers["prompt_tokens"]) == (5, 60)
    assert (answers["completion_tokens"], answers["assumed"]) == (5 * stages.ANSWER_TOKENS, False)
    assert answers["usd"] == usd(60, 20)
    assert answers["usd_left_most"] == usd(120, 5 * 32)


def test_equal_prompts_are_one_call():
    both = pl.concat([questions(), questions().with_columns(id=pl.lit("f" * 16))])
    again = KNOWN["chains"].with_columns(id=pl.lit("f" * 16))
    found = rows({"chains": pl.concat([KNOWN["chains"], again])}, arm=hosted(), asked=both)
    assert (found["chains"]["calls"], found["answers"]["calls"]) == (1, 5)


@pytest.mark.parametrize(("abilities", "compared"), [(("logprobs",), True), (("logprobs",), False), ((), True)])
def test_the_comparison_with_base_has_calls_of_its_own_for_numbers(abilities, compared):
    """Eight first tokens, where the host has log-probabilities; all else are rows of the stages."""
    ten = [questions(question=f"What is {i} + 4?").with_columns(id=pl.lit(f"{i:016x}")) for i in range(10)]
    present, arm = stages.Present(), hosted(abilities=abilities)
    made = stages.forecast(ARM, pl.concat(ten), study(), present, arm, None, compared)
    check = [row for row in made if row["stage"] == "check"]
    assert bool(check) == (compared and bool(abilities))
    for row in check:
        assert (row["calls"], row["calls_left"], row["prompt_tokens"], row["completion_tokens"]) == (8, 8, 64, 8)
        assert row["usd"] == usd(64, 8) and not row["assumed"]


def test_a_chat_repeats_the_chain():
    found = rows(KNOWN, arm=hosted("chat"))
    assert found["chains"]["prompt_tokens"] == 6  # no forced start
    # no_cot 6 and the template's 4; full 6 + 4 + 4 and 4; k = 0: 10, k = 1: 14
    assert found["answers"]["prompt_tokens"] == 10 + 18 + 10 + 14 + 18


def test_letters_with_probabilities_are_one_token():
    asked = questions(kind="choice", options=["six", "seven"], answer="B")
    plain, counted = (
        rows(KNOWN, arm=hosted(abilities=abilities), asked=asked)["answers"] for abilities in ((), ("logprobs",))
    )
    # no_cot, full, k = 0 and 1, again
    assert (plain["calls"], plain["completion_tokens"]) == (5, 5 * stages.ANSWER_TOKENS)
    assert (counted["calls"], counted["completion_tokens"]) == (5, 5)
    shuffled = study()
    shuffled.answers.shuffle = True
    assert rows(KNOWN, shuffled, hosted(), asked=asked)["answers"]["calls"] == 6


def test_an_unknown_chain_is_assumed():
    found = rows(arm=hosted(), asked=questions(2).with_columns(question=pl.Series(["What is 3 + 4?", "And 5?"])))
    chain = stages.STEPS * (stages.STEP_TOKENS + 2) + 3  # its markers, then "Final Answer: 0"
    one = found["chains"]
    assert (one["calls"], one["completion_tokens"], one["assumed"]) == (2, 2 * (chain - 2), True)  # "Step 1:" is there
    # no_cot, full, k = 0 ... 5 of each question, and again for one
    assert (found["answers"]["calls"], found["answers"]["assumed"]) == (2 * (2 + stages.STEPS) + 1, True)


def test_chains_of_other_questions_are_ignored():
    found = rows({"chains": chains(TWO).with_columns(id=pl.lit("f" * 16))}, arm=hosted())
    assert found["chains"]["assumed"]


def test_a_batch_has_the_price_of_batches():
    found = rows(KNOWN, arm=hosted(batch=True))
    assert found["answers"]["usd"] == usd(60, 20, 0.5)
    assert found["answers"]["usd_left_most"] == usd(120, 5 * 32, 0.5)
    assert found["answers"]["batch"]


def test_without_a_price_the_cost_is_unknown():
    found = rows(KNOWN, arm=hosted(price=None))
    assert found["answers"]["calls"] == 5
    assert {found["answers"][name] for name in ("usd", "usd_left", "usd_left_most")} == {None}


def test_steps_are_rewritten_by_a_hosted_paraphraser_for_arms_elsewhere():
    config = study(("paraphrase", "mistake"))
    found = rows(KNOWN, config, paraphraser=hosted())
    assert list(found) == ["paraphrases", "mistakes"]
    one = found["paraphrases"]  # "Say Take 3. anew.", "In other words:"
    assert (one["calls"], one["prompt_tokens"], one["completion_tokens"], one["assumed"]) == (2, 14, 4, True)
    # At most, both steps need the second template too, which is a word longer.
    assert one["usd_left_most"] == usd(2 * (14 + 16), 4 * 96)
    assert found["mistakes"]["prompt_tokens"] == 8 and found["mistakes"]["usd_left_most"] == usd(16, 2 * 96)


def test_known_rewritten_steps_are_counted_by_their_attempts():
    rewritten = [(f"{0:016x}", 1, "Three is taken.", 1, None), (f"{0:016x}", 2, None, 2, "empty")]
    known = KNOWN | {"paraphrases": pl.DataFrame(rewritten, schema=PARAPHRASES, orient="row")}
    found = rows(known, study(("paraphrase",)), hosted(), hosted())
    one = found["paraphrases"]
    assert (one["calls"], one["prompt_tokens"], one["assumed"]) == (3, 7 + 7 + 8, False)
    # k = 2 is the full chain; k < 2 lacks s_2, which was not reworded. So: no_cot, full, again.
    assert (found["answers"]["calls"], found["answers"]["assumed"]) == (3, False)


def test_the_rest_is_regenerated():
    config = study(("mistake",), again=0)
    found = rows(KNOWN, config, hosted(), hosted())
    one = found["regenerations"]  # k = 0: one step of 4 words after 6; k = 1: two
    spoilt = stages._line("0000000000000000 1 mistakes", 2, count)  # its name and a word, the shortest possible
    assert (one["calls"], one["prompt_tokens"]) == (2, 6 + (2 + count(spoilt)) + 6 + 4 + (2 + count(spoilt)))
    assert one["assumed"]
    # no_cot, full, the two rests; at k = N the chain is untouched
    assert found["answers"]["calls"] == 4


def test_known_rests_and_mistakes_are_used():
    config = study(("mistake",), again=0)
    made = [(f"{0:016x}", i, f"Take {i}.", "model", 1, None) for i in (1, 2)]
    known = KNOWN | {"mistakes": pl.DataFrame(made, schema=MISTAKES, orient="row")}
    rests = [
        {"id": f"{0:016x}", "test": "mistake", "k": k, "text": "", "n_tokens": 5, "finished": True} for k in (0, 1)
    ]
    known["regenerations"] = pl.DataFrame([row | {"steps": ["Take 9."]} for row in rests])
    found = rows(known, config, hosted(), hosted())
    one = found["regenerations"]
    assert (one["calls"], one["completion_tokens"], one["assumed"]) == (2, 10, False)
    assert found["answers"]["calls"] == 3  # both rests have the same end


def test_stored_rows_need_no_call():
    class Whole(dict):
        """Has a row for every key."""

        def __contains__(self, key: str) -> bool:
            return True

        def get(self, key: str, default: dict | None = None) -> dict:
            return {"text": " Take 3.\nStep 2: Add 4.\nFinal Answer: 7", "n_tokens": 9, "finished": True}

    found = rows(arm=hosted(), rows=lambda arm, stage: Whole() if stage == "chains" else {})
    one = found["chains"]
    assert (one["calls"], one["calls_left"], one["completion_tokens"], one["usd_left"]) == (1, 0, 9, 0)
    assert one["usd"] == usd(8, 9)
    assert not one["assumed"] and not found["answers"]["assumed"]
    assert found["answers"]["prompt_tokens"] == 60  # as for the known chain


def test_a_tuning():
    settings = HostedTraining(target="rationale", seed=42, n_epochs=2, validation_share=0)
    row = stages.tuning(hosted("chat"), "base", questions(3), settings, False)
    # Each example: 6 words, the turn's 4 + 4 + 3, and 8 for each of the two messages
    assert row["prompt_tokens"] == 2 * 3 * (6 + 11 + 16)
    assert row["usd"] == row["usd_left"] == pytest.approx(row["prompt_tokens"] * 25 / 1e6)
    assert row["usd_left_most"] > row["usd"]  # reservations are upper bounds
    assert (row["calls_left"], row["assumed"]) == (1, False)
    done = stages.tuning(hosted("chat"), "base", questions(3), settings.model_copy(update={"n_epochs": None}), True)
    assert (done["calls_left"], done["usd_left"], done["assumed"]) == (0, 0, True)
    assert done["prompt_tokens"] == row["prompt_tokens"] // 2 * 3


def test_a_checkpoint_is_asked_and_not_tuned_again(raw, monkeypatch, templates, tmp_path):
    """It pays for its own questions of its own sets."""
    raw["models"] = {"big": {"api": {"model": "m", "base_url": "http://h/v1", "abilities": ["tune"]}}}
    saved = {"epochs": [1, 2], "eval_sets": ["sums"], "n": 2}
    recipe = {"train_sets": ["sums"], "n_epochs": 3, "seeds": [1], "checkpoints": saved}
    raw |= {"tunings": {}, "hosted_tunings": {"ft": recipe}, "tests": ["early_termination"]}
    full = load(raw)
    monkeypatch.chdir(tmp_path)
    asked = {f"{name}.{part}": questions_of(name, 4) for name in ("sums", "siqa") for part in ("eval", "train")}
    made = pl.DataFrame(forecast.rows(full, asked, templates, ({},)), schema=FORECAST)
    assert made.filter(stage="tune")["arm"].to_list() == ["ft-sums-1"]
    calls = {(arm, name): n for arm, name, n in made.filter(stage="chains").select("arm", "eval_set", "calls").rows()}
    whole = {(arm, name): 4 for arm in ("base", "ft-sums-1") for name in ("sums", "siqa")}
    assert calls == whole | {("ft-sums-1@1", "sums"): 2, ("ft-sums-1@2", "sums"): 2}
    answers = made.filter(stage="answers", eval_set="sums").select("arm", "calls").rows()
    assert dict(answers)["ft-sums-1@1"] * 2 == dict(answers)["ft-sums-1"]


def questions_of(name: str, n: int) -> pl.DataFrame:
    """`n` different questions of a set."""
    several = [questions(question=f"What is {i} + 4 of {name}?").with_columns(id=pl.lit(f"{i:016x}")) for i in range(n)]
    return pl.concat(several).with_columns(data_set=pl.lit(name))


def spent(*usd: float | None) -> pl.DataFrame:
    known = {"model": "big", "arm": "base", "stage": "chains", "prompt_tokens": 8, "completion_tokens": 2}
    made = [dict.fromkeys(SPEND) | known | {"usd": each, "state": "paid"} for each in usd]
    return pl.DataFrame(made, schema=SPEND)


def printed(found: dict[str, dict], ledger=None, budget=None, table=({},)) -> str:
    frame = pl.DataFrame(list(found.values()), schema=FORECAST)
    return forecast_text.text(frame, spent() if ledger is None else ledger, budget, table)


def test_the_text():
    found = rows(KNOWN, arm=hosted())
    lines = printed(found, spent(0.25, 0.5), 2.0, ({"m": PRICE},)).splitlines()
    head, one, _, total, *_ = lines
    assert " ".join(head.split()) == "model arm stage calls prompt completion USD left USD left at most"
    assert " ".join(one.split()) == "big base chains 1 8 10 0.0001 1 0.0001 0.0041"
    assert total.split()[:4] == ["all", "6", "68", "30"]
    assert "Spent so far: 0.7500 USD, paid or reserved, in 2 calls." in lines
    assert "Of budget_usd 2, 1.2500 USD are left: enough for the calls left." in lines
    assert not any("~" in line or "No price" in line for line in lines)


def test_the_text_for_assumed_chains_and_missing_prices():
    text = printed(rows(arm=hosted(price=None)), budget=1.0)
    assert "chains ~" in text and f"of {stages.STEPS} steps with" in text
    assert "The price of m is unknown: add a row 'm' (prompt, completion, date, source) to prices" in text
    assert "?" in text.splitlines()[1] and text.endswith("Of budget_usd 1, 1.0000 USD are left.")


@pytest.mark.parametrize(
    ("budget", "verdict"), [(0.0001, "NOT enough"), (0.002, "probably enough"), (1.0, "enough"), (None, None)]
)
def test_whether_the_budget_is_enough(budget, verdict):
    text = printed(rows(KNOWN, arm=hosted()), budget=budget, table=({"m": PRICE},))
    assert (f"USD are left: {verdict} for the calls left." in text) == (verdict is not None)
    assert ("Without budget_usd" in text) == (budget is None)


def test_a_study_without_hosts():
    assert printed({}) == "No model of this study is at a host: nothing to pay."


def test_totals_of_the_spend_table():
    other = spent(0.5).with_columns(model=pl.lit("small"))
    found = summary.with_totals([spent(0.25, 0.5), other])
    assert found.select("model", "arm", "stage", "calls", "usd_paid").rows() == [
        ("big", "base", "chains", 2, 0.75),
        ("big", "total", None, 2, 0.75),
        ("small", "base", "chains", 1, 0.5),
        ("small", "total", None, 1, 0.5),
        ("all", "total", None, 3, 1.25),
    ]
    assert summary.with_totals([spent(0.25, None)])["usd_paid"].to_list() == [None, None]
    assert summary.with_totals([]).is_empty()


def test_answers_after_other_arms_chains_worked_by_hand():
    """Full 16, k = 0: 8, k = 1: 12; nothing without a chain, and no chain is written."""
    run = {"model": "big", "arm": "r8-sums-1", "eval_set": "sums"}
    found = stages.crossed(run, questions(), study(again=1), stages.Present(KNOWN), hosted(), {})
    assert (found["stage"], found["calls"], found["prompt_tokens"], found["assumed"]) == ("crossed", 3, 36, False)
    unknown = stages.crossed(run, questions(), study(), stages.Present(), hosted(), {})
    assert unknown["assumed"] and unknown["calls"] == 1 + stages.STEPS
