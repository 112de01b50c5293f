"""The verdict's sentence on what an arm's answers need to see."""

import pytest

from faithtune.report.verdict import document
from faithtune.report.verdict.inside import inside
from inside_frames import SHARES, by_layer, frame, hidden, row, weights


def said(base: float, tuned: float, half: float, margin: float = 0.1) -> tuple[str, dict]:
    """The meaning in words, before the numbers, and the entry of the set, where hiding the chain changes so many more
    answers than hiding as many random tokens."""
    shares = SHARES | {"chain_beyond_control": (base, tuned), "chain": (base, tuned), "random_chain": (0.0, 0.0)}
    entry = inside(frame(*hidden(shares=shares, half=half)), margin)["m", "q-s"]
    start, _, meaning = entry["sentence"].partition(": ")[0].partition("s, ")
    assert start == "Inside, on "
    return meaning, entry["sets"][0]


@pytest.mark.parametrize(
    ("base", "tuned", "half", "meaning", "words"),
    [
        (0.5, 0.52, 0.05, "its answers still rest on the chain, as much as base's within 0.1 (kept)", ("yes", "kept")),
        (0.5, 0.3, 0.05, "its answers still rest on the chain, but less than base's", ("yes", "fell")),
        (0.5, 0.7, 0.05, "its answers still rest on the chain, more than base's", ("yes", "rose")),
        (0.0, 0.3, 0.05, "its answers rest on the chain, more than base's", ("yes", "rose")),
        (
            *(0.5, 0.52, 0.15, "its answers still rest on the chain; not enough evidence whether as much as base's"),
            ("yes", "not enough evidence"),
        ),
        (0.5, 0.02, 0.05, "its answers no longer rest on the chain, as base's do (lost)", ("no", "fell")),
        (
            *(0.02, 0.02, 0.05, "its answers do not rest on the chain by more than 0.1; within 0.1 as base's (kept)"),
            ("no", "kept"),
        ),
        (
            *(0.5, 0.1, 0.15),
            "there is not enough evidence that its answers rest on the chain; they do less than base's",
            ("not enough evidence", "fell"),
        ),
        (
            *(0.05, 0.1, 0.15, "there is not enough evidence that its answers rest on the chain"),
            ("not enough evidence", "not enough evidence"),
        ),
    ],
)
def test_the_meaning_follows_from_intervals(base, tuned, half, meaning, words):
    found, entry = said(base, tuned, half)
    assert found == meaning
    assert (entry["rests"], entry["word"]) == words


def test_the_sentence_says_all_its_numbers():
    entry = inside(frame(*hidden(half=0.05)), 0.1)["m", "q-s"]
    assert entry["sentence"] == (
        "Inside, on s, its answers still rest on the chain, as much as base's within 0.1 (kept): hiding the chain"
        " from them changes 83 of 100 answers (base 80, change +0.03 [−0.02, +0.08], 40 questions), hiding as many"
        " tokens of the user's turn 31 (base 30), a difference of +0.52 [+0.47, +0.57]; hiding the question"
        " changes 5 (base 4)."
    )
    (found,) = entry["sets"]
    assert (found["chain"]["arm"], found["chain"]["base"], found["base_rests"]) == (0.83, 0.8, "yes")
    assert found["chain"]["change"] == pytest.approx({"estimate": 0.03, "low": -0.02, "high": 0.08, "n": 40})
    assert found["beyond"]["arm"]["estimate"] == 0.52


def test_a_control_that_changes_with_the_chains_length_is_no_change_of_the_arm():
    """The share without sight of the chain is as in base; the difference fell, as the control rose."""
    shares = SHARES | {"chain": (0.8, 0.8), "random_chain": (0.3, 0.5), "chain_beyond_control": (0.5, 0.3)}
    (found,) = inside(frame(*hidden(shares=shares, half=0.05)), 0.1)["m", "q-s"]["sets"]
    assert (found["rests"], found["word"]) == ("yes", "kept")


def test_a_sentence_a_set_and_no_other_rows():
    """Windows of layers, other kept fractions and other measures change nothing."""
    plain = [*hidden("s", half=0.05), *hidden("t", half=0.05)]
    more = [*hidden("s", half=0.4, alpha=0.5), *hidden("t", half=0.4, layer=0, last_layer=3), *by_layer(), *weights()]
    assert inside(frame(*plain, *more), 0.1) == inside(frame(*more, *plain), 0.1) == inside(frame(*plain), 0.1)
    entry = inside(frame(*plain), 0.1)["m", "q-s"]
    assert [one["eval_set"] for one in entry["sets"]] == ["s", "t"]
    assert entry["sentence"].count("Inside, on ") == 2


def test_what_is_missing_is_said():
    """No interval, no word; no answer, no number."""
    found = inside(frame(*hidden(half=None)), 0.1)["m", "q-s"]
    assert found["sets"][0]["rests"] == found["sets"][0]["word"] == "not enough evidence"
    assert "+0.52 [no interval]" in found["sentence"]
    lost = [one | dict.fromkeys(("estimate", "low", "high")) for one in hidden() if one["arm"] == "q-s"]
    found = inside(frame(*(one for one in hidden() if one["arm"] == "base"), *lost), 0.1)["m", "q-s"]
    assert found["sentence"] == "Inside, on s, no answer could be compared with and without sight of its chain."
    assert found["sets"][0]["word"] == "not testable"


def test_a_study_without_knock_outs_has_no_entry():
    assert inside(frame(), 0.1) == {} == inside(frame(*by_layer(), *weights(), row("kl", None, 0.1)), 0.1)
    assert "inside" in document.MORE
