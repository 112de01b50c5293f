import re

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.errors import UserError
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import INTERVENTIONS, PARAPHRASES, REGENERATIONS
from faithtune.data import forms
from faithtune.interventions.build import (
    build,
    early_termination,
    filler,
    paraphrased,
    prefix_to_continue,
    regenerated_ks,
)
from faithtune.interventions.registry import BY_STEPS, SWEEP
from frames import tampering

# Small tokenizers: words and marks with their spaces; single characters; dots merged in threes.
COUNTERS = {
    "words": lambda text: len(re.findall(r" ?[^\W_]+| ?\.{3}| ?[^\w\s]| ?_", text)),
    "characters": len,
    "merging": lambda text: len(re.findall(r"(?: ?\.{3}){1,3}|_{1,4}|.", text)),
}
FILLERS = st.sampled_from([" ...", "...", "_", " _", "$ ", " hm, well"])
COUNTER = st.sampled_from(sorted(COUNTERS)).map(COUNTERS.get)
STEPS = st.lists(st.from_regex(r"\A[a-z]{1,9}( [a-z0-9*=]{1,9}){0,8}\.\Z"), min_size=1, max_size=5)
STEPS_AND_K = STEPS.flatmap(lambda steps: st.tuples(st.just(steps), st.integers(0, len(steps))))


def bodies(text: str) -> list[str]:
    return [re.sub(r"^Step \d+: ", "", line) for line in text.splitlines()]


@given(STEPS, FILLERS, COUNTER)
def test_at_n_every_test_is_the_full_chain(steps, unit, count_tokens):
    n = len(steps)
    assert early_termination(steps, n) == filler(steps, n, unit, count_tokens) == forms.STEPS.join(steps)
    assert paraphrased(steps, [None] * n, n) == forms.STEPS.join(steps)


@given(STEPS_AND_K, FILLERS, COUNTER)
def test_the_kept_steps_stand_verbatim_in_front(steps_and_k, unit, count_tokens):
    steps, k = steps_and_k
    kept = forms.STEPS.join(steps[:k])
    assert early_termination(steps, k) == kept
    for text in (filler(steps, k, unit, count_tokens), paraphrased(steps, [step.upper() for step in steps], k)):
        assert text.startswith(kept)
        assert bodies(text)[:k] == steps[:k]
        assert len(bodies(text)) == len(steps)


def test_nothing_kept_is_an_empty_chain():
    assert early_termination(["a b", "c d"], 0) == ""


@given(STEPS_AND_K, FILLERS, COUNTER)
def test_filler_has_the_replaced_steps_tokens(steps_and_k, unit, count_tokens):
    steps, k = steps_and_k
    unit_size = count_tokens(f" {unit.strip()}")
    fills = bodies(filler(steps, k, unit, count_tokens))[k:]
    for step, fill in zip(steps[k:], fills, strict=True):
        tokens, budget = count_tokens(f" {fill}"), count_tokens(f" {step}")
        assert fill == (unit * len(fill)).strip()[: len(fill)] and fill.endswith(unit.strip())
        assert tokens <= budget or fill == unit.strip()
        assert tokens > budget - max(unit_size, count_tokens(unit))


def test_filler_frames_stay():
    text = filler(["she buys two", "four are left now", "so six"], 1, " ...", COUNTERS["words"])
    assert text == "Step 1: she buys two\nStep 2: ... ... ... ...\nStep 3: ... ..."


def test_paraphrases_replace_the_later_steps():
    assert paraphrased(["a b", "c d"], ["A B", "C D"], 1) == "Step 1: a b\nStep 2: C D"
    assert paraphrased(["a b", "c d"], [None, "C D"], 1) == "Step 1: a b\nStep 2: C D"
    assert paraphrased(["a b", "c d"], ["A B", None], 0) is None


def chains(*rows):
    """Chains of (id, steps, outcome)."""
    return pl.DataFrame(
        [{"id": i, "steps": steps, "n_steps": len(steps), "outcome": outcome} for i, steps, outcome in rows],
        schema=CHAINS,
    )


PARAPHRASED = pl.DataFrame([("q", 1, "A B", 1, None), ("q", 2, None, 3, "identical")], schema=PARAPHRASES, orient="row")


REGENERATED_STEPS = pl.DataFrame(
    [
        ("q", "mistake", 0, "", ["x y", "z"], 3, True),
        ("q", "mistake", 1, "", ["a b", "x", "z", "z"], 3, False),
        ("q", "prefix_paraphrase", 1, "", ["A B"], 1, True),
    ],
    schema=REGENERATIONS,
    orient="row",
)


def test_build_makes_every_k_of_every_test():
    rows = chains(("q", ["a b", "c d"], "answered"))
    frame = build(rows, tampering(BY_STEPS), COUNTERS["words"], PARAPHRASED, REGENERATED_STEPS)
    assert frame.schema == INTERVENTIONS
    assert set(frame["id"]) == {"q"} and set(frame["n_steps"]) == {2}
    assert frame.select("test", "k", "text").rows() == [
        ("no_cot", None, ""),
        ("full", 2, "Step 1: a b\nStep 2: c d"),
        ("early_termination", 0, ""),
        ("early_termination", 1, "Step 1: a b"),
        ("early_termination", 2, "Step 1: a b\nStep 2: c d"),
        ("filler", 0, "Step 1: ... ...\nStep 2: ... ..."),
        ("filler", 1, "Step 1: a b\nStep 2: ... ..."),
        ("filler", 2, "Step 1: a b\nStep 2: c d"),
        ("paraphrase", 0, None),
        ("paraphrase", 1, None),  # step 2 passed no gate
        ("paraphrase", 2, "Step 1: a b\nStep 2: c d"),
        ("mistake", 0, "Step 1: x y\nStep 2: z"),
        ("mistake", 1, None),  # cut at the token limit
        ("mistake", 2, "Step 1: a b\nStep 2: c d"),
        ("prefix_paraphrase", 0, "Step 1: a b\nStep 2: c d"),
        ("prefix_paraphrase", 1, "Step 1: A B"),
        ("prefix_paraphrase", 2, None),
    ]
    without = frame.filter(pl.col("text").is_null())
    assert without.select("test", "k", "missing").rows() == [
        ("paraphrase", 0, "unavailable"),
        ("paraphrase", 1, "unavailable"),
        ("mistake", 1, "truncated"),
        ("prefix_paraphrase", 2, "unavailable"),
    ]
    assert frame["missing"].is_not_null().sum() == without.height


def test_all_steps_in_other_words_need_no_rest():
    words = PARAPHRASED.with_columns(text=pl.Series(["A B", "C D"]))
    rows = chains(("q", ["a b", "c d"], "answered"))
    frame = build(rows, tampering(["prefix_paraphrase"], ""), len, words, REGENERATED_STEPS.clear())
    assert frame.filter(test="prefix_paraphrase").select("k", "text", "missing").rows() == [
        (0, "Step 1: a b\nStep 2: c d", None),
        (1, None, "unavailable"),  # nothing was generated: a paraphrase was missing then
        (2, "Step 1: A B\nStep 2: C D", None),
    ]


def test_a_mistake_stands_behind_the_kept_steps():
    steps = ["a", "b", "c"]
    assert [prefix_to_continue("mistake", steps, ["x", "y", None], k) for k in regenerated_ks("mistake", 3)] == [
        ["x"],
        ["a", "y"],
        None,
    ]


def test_a_paraphrased_prefix_stands_alone():
    steps = ["a", "b", "c"]
    test, rewritten = "prefix_paraphrase", ["A", "B", None]
    prefixes = [prefix_to_continue(test, steps, rewritten, k) for k in regenerated_ks(test, 3)]
    assert prefixes == [["A"], ["A", "B"]]
    assert prefix_to_continue("prefix_paraphrase", steps, [None, "B", "C"], 2) is None
    assert list(regenerated_ks("prefix_paraphrase", 1)) == []


def test_the_sweep_is_made_of_every_chain():
    """The longest finished chain, "Step 1: ... Step 2: ...", bounds the sweep; the truncated chain does not count."""
    rows = chains(("q", ["a", "b"], "answered"), ("cut", ["a b c d e f g h"], "truncated"), ("none", [], "unanswered"))
    frame = build(rows, tampering([SWEEP], step=2), COUNTERS["words"])
    longest = COUNTERS["words"](forms.STEPS.join(["a", "b"]))
    for identifier, n in (("q", 2), ("cut", 1), ("none", 0)):
        own = frame.filter(id=identifier, test=SWEEP)
        assert own["k"].to_list() == list(range(0, longest + 1, 2))
        assert set(own["n_steps"]) == {n}
        assert own["text"].to_list()[:3] == ["", "Step 1: ... ...", "Step 1: ... ... ... ..."]
    bounded = build(rows, tampering([SWEEP], step=2, longest=5), COUNTERS["words"])
    assert bounded.filter(test=SWEEP, id="q")["k"].to_list() == [0, 2, 4]


@given(st.integers(1, 60), FILLERS, COUNTER)
def test_the_sweep_has_no_more_tokens_than_it_says(longest, unit, count_tokens):
    rows = chains(("q", ["word " * 30], "answered"))
    frame = build(rows, tampering([SWEEP], unit, longest=longest), count_tokens).filter(test=SWEEP)
    least = count_tokens(f" {unit.strip()}")
    for k, text in frame.select("k", "text").rows():
        body = text.removeprefix("Step 1: ")
        tokens = count_tokens(f" {body}") if body else 0
        assert k - max(least, count_tokens(unit)) < tokens <= max(k, least) or k == tokens == 0


def test_paraphrases_are_those_of_the_same_question():
    both = chains(("q", ["a b"], "answered"), ("other", ["a b"], "unanswered"))
    frame = build(both, tampering(["paraphrase"]), COUNTERS["words"], PARAPHRASED).filter(test="paraphrase", k=0)
    assert frame.select("id", "text").rows() == [("q", "Step 1: A B"), ("other", None)]


def test_truncated_and_collapsed_chains_are_only_put_on_record():
    rows = chains(("cut", ["a b", "c d"], "truncated"), ("none", [], "answered"))
    frame = build(rows, tampering(["early_termination", "filler"]), COUNTERS["words"])
    assert frame.rows() == [
        ("cut", "no_cot", None, 2, "", None),
        ("cut", "full", 2, 2, "Step 1: a b\nStep 2: c d", None),
        ("none", "no_cot", None, 0, "", None),
        ("none", "full", 0, 0, "", None),
    ]
    assert build(chains(), tampering(["filler"]), COUNTERS["words"]).schema == INTERVENTIONS


def test_a_filler_that_tokens_swallow_is_named():
    with pytest.raises(UserError, match="filler: repeating '_'"):
        filler(["a b"], 0, "_", lambda text: len(text.split()))


@pytest.mark.parametrize(
    ("tests", "unit", "named"),
    [
        (["early_stop"], " ...", "early_stop"),
        (["paraphrase"], " ...", "paraphrase needs"),
        (["prefix_paraphrase"], " ...", "prefix_paraphrase needs paraphrases"),
        (["mistake"], " ...", "mistake needs the regenerated rest"),
        (["filler_sweep"], " ", "filler"),
        (["filler"], " ", "filler"),
        (["filler"], "", "filler"),
    ],
)
def test_bad_input_is_named(tests, unit, named):
    with pytest.raises(UserError, match=named):
        build(chains(), tampering(tests, unit), COUNTERS["words"])
