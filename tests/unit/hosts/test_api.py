"""The hosted backend against the stand-in host: prompts, letters, cut texts, money, faults."""

import math
from collections import Counter

import pytest

from faithtune.arms.row_store import RowStore
from faithtune.core.errors import HostStopped, UserError
from faithtune.data import prompts
from faithtune.extraction import steps
from faithtune.hosts import api, calls
from faithtune.hosts.spend import ledger
from faithtune.models.backend import Query
from hosting import KEY, KEY_ENV, TEMPLATES, arm, stand_in
from standin.faults import Fault

PRICES = {"m": {"prompt": 1.0, "completion": 10.0, "date": "2026-01-01", "source": "https://host/prices"}}


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)


def never(text):
    return False


def test_an_open_turn_is_told_again_where_turns_are_closed():
    begun = "Step 1: 1 + 1 = 2."
    assert api.retold("Q?", f"{begun}\n{prompts.CUE}", TEMPLATES) == [
        {"role": "user", "content": "Q?"},
        {"role": "assistant", "content": begun},
        {"role": "user", "content": "Now only the answer."},
    ]
    assert api.retold("Q?", f"{begun}\n", TEMPLATES)[-1] == {"role": "user", "content": "Go on."}
    assert api.retold("Q?", prompts.CUE, TEMPLATES) == [{"role": "user", "content": "Q?\n\nNow only the answer."}]
    assert api.retold("Q?", "", TEMPLATES) == [{"role": "user", "content": "Q?"}]
    assert api.retold("Line: x", "In other words:", TEMPLATES) == [
        {"role": "user", "content": "Line: x\nIn other words:"}
    ]


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_texts_are_continued_greedily(endpoint, tmp_path):
    said = {"A?": "Step 1: x.\nFinal Answer: 7", "B?": "word " * 40}
    with (
        stand_in(reply=lambda body: next(text for q, text in said.items() if q in str(body))) as host,
        arm(host, tmp_path, endpoint=endpoint) as (model, _),
    ):
        made = dict(model.generate([model.render(q) for q in said], 12, never, ["a", "b"]))
        bodies = [call.body for call in host.journal.calls]
    assert (made[0].text, made[0].finished) == (said["A?"], True)
    assert not made[1].finished and made[1].n_tokens == 12 and said["B?"].startswith(made[1].text)
    assert {(body["temperature"], body["max_tokens"], body["model"]) for body in bodies} == {(0.0, 12, "m")}


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
@pytest.mark.parametrize("abilities", [["logprobs"], []])
def test_the_first_token_has_probabilities_where_the_host_gives_them(endpoint, abilities, tmp_path):
    odds = {" 7": 0.2, " 8": 0.7}
    with (
        stand_in(reply=lambda body: " 8 boxes", chances=lambda body: [odds]) as host,
        arm(host, tmp_path, endpoint=endpoint, abilities=abilities) as (model, _),
    ):
        [(_, found)] = model.first_tokens([model.render("Q?", prompts.CUE)], ["k"])
        assert host.journal.calls[-1].body["max_tokens"] == 1
    assert found.text == " 8"
    assert found.probabilities == (pytest.approx([0.7, 0.2]) if abilities else [])


def test_a_text_ends_where_a_model_asked_here_would_have_stopped(tmp_path):
    with (
        stand_in(reply=lambda body: " 7\nStep 1: on and on") as host,
        arm(host, tmp_path) as (model, _),
    ):
        [(_, told)] = model.answer([Query(model.render("Q?", prompts.CUE))], 32, steps.line_ended, ["a"])
        [(_, made)] = model.generate([model.render("Q?")], 32, steps.line_ended, ["b"])
    assert (told.text, told.finished, told.probabilities) == (" 7\n", True, [])
    assert (made.text, made.finished) == (" 7\n", True)


CHANCES = [{" B": 0.6, " A": 0.15, "B": 0.1, " x": 0.05}]


def test_letters_after_the_cue_have_the_probabilities_of_the_first_place(tmp_path):
    with (
        stand_in(reply=lambda body: " B", chances=lambda body: CHANCES) as host,
        arm(host, tmp_path, abilities=["logprobs", "continue"]) as (model, _),
    ):
        [(_, told)] = model.answer([Query(model.render("Q?", prompts.CUE), 3)], 32, steps.line_ended, ["a"])
        assert host.journal.calls[-1].body["max_tokens"] == 1
    assert told.text is None and told.option_mass == pytest.approx(0.85)
    assert told.probabilities == pytest.approx([0.15 / 0.85, 0.7 / 0.85, 0])


def test_letters_of_a_chat_have_the_probabilities_of_where_they_stand(tmp_path):
    places = [{"Final": 1.0}, {" Answer": 1.0}, {":": 1.0}, {" B": 0.6, " C": 0.3}]
    with (
        stand_in(reply=lambda body: "Final Answer: B", chances=lambda body: places) as host,
        arm(host, tmp_path, endpoint="chat", abilities=["logprobs"]) as (model, _),
    ):
        [(_, told)] = model.answer([Query(model.render("Q?", prompts.CUE), 3)], 32, steps.line_ended, ["a"])
    assert told.text == " B"
    assert told.probabilities == pytest.approx([0, 2 / 3, 1 / 3]) and told.option_mass == pytest.approx(0.9)


@pytest.mark.parametrize("said", ["Lisbon", "I cannot say."])
def test_no_letter_no_probabilities(said, tmp_path):
    with (
        stand_in(reply=lambda body: said) as host,
        arm(host, tmp_path, endpoint="chat", abilities=["logprobs"]) as (model, _),
    ):
        [(_, told)] = model.answer([Query(model.render("Q?", prompts.CUE), 3)], 32, steps.line_ended, ["a"])
    assert (told.text, told.probabilities, told.option_mass) == (said, [], None)


def test_letters_that_read_alike_add_up_and_none_is_made_up(tmp_path):
    shown = {" B": 0.5, "B": 0.2, " x": 0.2}
    with (
        stand_in(reply=lambda body: " B", chances=lambda body: [shown]) as host,
        arm(host, tmp_path, abilities=["logprobs", "continue"], top_logprobs=3) as (model, _),
    ):
        [(_, told)] = model.answer([Query("Q?", 3)], 32, steps.line_ended, ["a"])
        shown.clear()
        shown |= {" x": 0.9, " y": 0.1}
        [(_, none)] = model.answer([Query("R?", 3)], 32, steps.line_ended, ["b"])
        assert host.journal.calls[-1].body["logprobs"] == 3
    assert told.probabilities == [0, 1, 0] and told.option_mass == pytest.approx(0.7)
    assert (none.probabilities, none.option_mass) == ([0, 0, 0], 0)


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_an_empty_answer_is_one_and_paid_once(endpoint, tmp_path):
    with stand_in(reply=lambda body: "") as host, arm(host, tmp_path, endpoint=endpoint) as (model, _):
        [(_, made)] = model.generate([model.render("Q?")], 12, never, ["a"])
        assert len(host.journal.charges) == 1
    assert (made.text, made.n_tokens, made.finished) == ("", 0, True)


def test_what_the_host_declines_is_a_row_without_a_word(tmp_path):
    with stand_in() as host, arm(host, tmp_path, endpoint="chat", concurrency=1) as (model, _):
        host.script("POST /chat/completions", Fault("status", 400, code="content_filter", message="filtered"))
        made = dict(model.generate([model.render("Q?"), model.render("R?")], 12, never, ["a", "b"]))
    assert (made[0].text, made[0].finished) == ("", True) and made[1].text


def test_what_had_arrived_is_not_asked_again(tmp_path):
    """A job that ends before its rows stand in the row store leaves their responses to the next one."""
    texts, keys = [f"Q{i}?" for i in range(6)], list("abcdef")
    with stand_in() as host:
        with arm(host, tmp_path, concurrency=2) as (model, _):
            begun = model.generate(texts, 12, never, keys)
            next(begun)
            begun.close()  # as by an error, or by Ctrl-C
        asked = len(host.journal.charges)
        with arm(host, tmp_path) as (model, _):
            made = dict(model.generate(texts, 12, never, keys))
        assert 1 <= asked < 6 and len(host.journal.charges) == 6
    assert len(made) == 6


def test_what_arrived_is_given_out_in_batch_mode_too(tmp_path):
    with stand_in() as host:
        with arm(host, tmp_path, endpoint="chat") as (model, _):
            list(model.generate([model.render("Q?")], 12, never, ["a"]))  # and never kept as a row
        batch = {"requests": 9, "bytes": 10**6, "enqueued_tokens": 10**6}
        with arm(host, tmp_path, endpoint="chat", mode="batch", batch=batch) as (model, _):
            [(_, made)] = model.generate([model.render("Q?")], 12, never, ["a"])
        assert made.text and len(host.journal.charges) == 1


def test_a_chain_out_of_sight_ends_the_asking_at_once(tmp_path):
    with stand_in() as host, arm(host, tmp_path, concurrency=2) as (model, _):
        host.set(reasoning_tokens=50)
        with pytest.raises(HostStopped, match="reasons outside of its answer"):
            list(model.generate([f"Q{i}?" for i in range(30)], 12, never, [f"k{i}" for i in range(30)]))
        assert len(host.journal.charges) <= 4


def test_a_host_that_was_not_reached_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(calls, "ATTEMPTS", 2)
    with (
        stand_in() as host,
        arm(host, tmp_path, prices=PRICES, base_url="http://127.0.0.1:9/v1") as (model, _),
        pytest.raises(HostStopped, match="cannot be reached"),
    ):
        list(model.generate(["Q?"], 12, never, ["a"]))
    assert ledger.read(tmp_path / "spend.sqlite")["usd"].sum() == 0


def test_what_may_have_been_charged_stays_reserved(tmp_path):
    """A gateway knows nothing of the host behind it; Azure charges for what its filter declines."""
    declined = Fault("status", 400, code="content_filter", message="filtered")
    with stand_in() as host, arm(host, tmp_path, prices=PRICES, concurrency=1) as (model, _):
        host.script("POST /completions", Fault("status", 504), Fault("status", 500), declined)
        list(model.generate(["Q?", "R?"], 12, never, ["a", "b"]))
    found = ledger.Ledger(tmp_path / "spend.sqlite").frame().sort("at")
    assert found["state"].to_list() == ["reserved", "released", "reserved", "paid"]


def test_every_call_is_paid_once_and_in_the_ledger(tmp_path):
    with (
        stand_in(reply=lambda body: "four words it writes") as host,
        arm(host, tmp_path, prices=PRICES) as (model, _),
    ):
        list(model.generate([model.render(f"Q{i}?") for i in range(20)], 16, never, [f"k{i}" for i in range(20)]))
        charges = host.journal.charges
    frame = ledger.Ledger(tmp_path / "spend.sqlite").frame()
    assert set(frame["state"]) == {"paid"} and sorted(frame["key"]) == sorted(f"k{i}" for i in range(20))
    assert set(frame.select("model", "host_model", "arm", "eval_set", "stage").rows()) == {
        ("big", "m", "base", "sums", "chains")
    }
    usd = sum(one.prompt_tokens * 1e-6 + one.completion_tokens * 10e-6 for one in charges)
    assert math.isclose(frame["usd"].sum(), usd)


def test_a_budget_stops_before_the_call_that_could_pass_it(tmp_path):
    with (
        stand_in(reply=lambda body: "word " * 30) as host,
        RowStore(tmp_path / "rows") as rows,
        pytest.raises(ledger.BudgetError, match=r"budget_usd is 0\.002"),
        arm(host, tmp_path, budget=0.002, prices=PRICES, concurrency=1) as (model, _),
    ):
        texts = [model.render(f"Q{i}?") for i in range(50)]
        rows.get_or_compute(
            [f"k{i}" for i in range(50)],
            lambda missing: (
                (missing[place], vars(made))
                for place, made in model.generate([texts[i] for i in missing], 16, never, [f"k{i}" for i in missing])
            ),
        )
    asked = len(host.journal.charges)
    assert 5 < asked < 20 and len(RowStore(tmp_path / "rows").rows) == asked
    assert ledger.read(tmp_path / "spend.sqlite")["usd"].sum() <= 0.002


def test_a_budget_needs_a_price(tmp_path):
    with stand_in() as host, pytest.raises(UserError, match="add a row 'm'"), arm(host, tmp_path, budget=1.0):
        pass


def test_a_refused_row_is_told_after_the_others_are_kept(tmp_path):
    with (
        stand_in(reply=lambda body: "fine") as host,
        arm(host, tmp_path, concurrency=1) as (model, _),
    ):
        host.script("POST /completions", Fault("status", 400, message="too long for the model"))
        found = []
        with pytest.raises(UserError, match=r"1 of 4 rows .* too long for the model"):
            found += list(model.generate([f"Q{i}?" for i in range(4)], 16, never, list("abcd")))
            # what generate yields before its error is lost by list: count what the host was asked instead
        assert len(host.journal.charges) == 3


def test_the_key_is_in_nothing_that_is_kept_or_printed(tmp_path, capfd, monkeypatch):
    """Though the host quotes it, whether it fails in passing, declines a row, refuses all or has an answer."""
    monkeypatch.setattr(calls, "_seconds_to_wait", lambda state, limiter: 0.0)
    passing = [Fault("status", status, message=f"the key {KEY} is slow") for status in (429, 500, 503, 500, 429)]
    declined = Fault("status", 400, message=f"the key {KEY} asks too much")
    with stand_in(reply=lambda body: "fine") as host, arm(host, tmp_path, concurrency=1) as (model, _):
        host.script("POST /completions", *passing, declined)
        with pytest.raises(UserError) as refused:
            list(model.generate([f"Q{i}?" for i in range(3)], 16, never, list("abc")))
        host.script("POST /completions", Fault("key"))
        with pytest.raises(HostStopped) as stopped:
            list(model.generate(["R?"], 16, never, ["d"]))
        assert len(host.journal.charges) == 2
        files = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    printed = "".join([*capfd.readouterr(), str(refused.value), str(stopped.value)])
    assert "retry in" in printed and "1 of 3 rows" in printed and "refuses the key" in printed
    assert files and not [text for text in files if KEY.encode() in text]
    assert KEY not in printed


@pytest.mark.slow
@pytest.mark.parametrize("n", [400, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_with_faults_every_row_comes_once(n, tmp_path):
    """Of the calls 5 % fail in some way; what the host charges twice is what was lost on its way back."""
    kinds = [Fault("status", 429, retry_after=0.01), Fault("status", 500), Fault("dropped_before")]
    lost = [Fault("dropped_after"), Fault("garbled"), Fault("cut"), Fault("slow", seconds=0.02)]
    with (
        stand_in(reply=lambda body: f"answer to {body['prompt'].strip()}") as host,
        RowStore(tmp_path / "rows") as rows,
        arm(host, tmp_path, concurrency=16, prices=PRICES) as (model, _),
    ):
        host.at_random("POST /completions", 0.05, *kinds, *lost, seed=1)
        texts, keys = [f"Q{i}" for i in range(n)], [f"k{i}" for i in range(n)]

        def compute(missing):
            asked, their_keys = [texts[i] for i in missing], [keys[i] for i in missing]
            for place, made in model.generate(asked, 16, never, their_keys):
                yield missing[place], {"text": made.text}

        got = rows.get_or_compute(keys, compute)
        paid = host.journal.payments()
    assert [row["text"] for row in got] == [f"answer to Q{i}" for i in range(n)]
    assert len(RowStore(tmp_path / "rows").rows) == n
    assert len(paid) == n and Counter(paid.values()).keys() <= {1, 2, 3}
    frame = ledger.Ledger(tmp_path / "spend.sqlite").frame()
    states = Counter(frame["state"])
    assert states["paid"] == n and states["released"] > 0
    assert states["reserved"] >= sum(paid.values()) - n  # charged and lost: still counted
