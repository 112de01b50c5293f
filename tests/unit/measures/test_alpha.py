"""α to items: which k counts, for whom, and which way it points."""

import math
from fractions import Fraction

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.arms.leaks import marked
from faithtune.core.errors import UserError
from faithtune.interventions.registry import direction
from faithtune.measures.alpha import (
    MEASURES,
    OF_STUDY,
    alpha_star,
    answers_at,
    at_alphas,
    concat_arms,
    directed,
    steps_kept,
)
from frames import TESTS, UNAVAILABLE, answer_rows, answers, chains_of, questions_of, random_answers

alphas = st.integers(0, 1000).map(lambda i: i / 1000)


@pytest.mark.parametrize(
    ("alpha", "n", "k"), [(0.25, 4, 1), (0.25, 5, 2), (0.1, 10, 1), (0.07, 100, 7), (0.5, 1, 1), (0, 9, 0), (1, 9, 9)]
)
def test_kept(alpha, n, k):
    assert steps_kept(alpha, n) == k


def test_kept_refuses_what_is_no_fraction():
    with pytest.raises(UserError, match=r"1\.2 is outside 0 … 1"):
        steps_kept(1.2, 3)


def test_kept_is_the_exact_ceiling_of_hundredths():
    """Floats would make 0.07 of 100 steps 8 and 0.29 of 100 steps 29 or 30."""
    assert all(steps_kept(i / 100, n) == -(-i * n // 100) for i in range(101) for n in range(101))


@given(alphas, st.integers(0, 300))
def test_kept_is_the_exact_ceiling(alpha, n):
    exact = Fraction(round(alpha * 1000), 1000) * n
    assert steps_kept(alpha, n) == math.ceil(exact)
    assert 0 <= steps_kept(alpha, n) <= n


@given(alphas, alphas, st.integers(0, 300), st.integers(0, 300))
def test_kept_is_monotone(a, b, m, n):
    assert steps_kept(min(a, b), n) <= steps_kept(max(a, b), n)
    assert steps_kept(a, min(m, n)) <= steps_kept(a, max(m, n))


def test_each_alpha_reads_its_own_k():
    frame = answers(answer_rows("q", n=4, early_termination=["B", "B", "A", None, "A"]))
    found = answers_at(frame, [0, 0.25, 0.5, 0.75, 1]).filter(test="early_termination")
    assert found["k"].to_list() == [0, 1, 2, 3, 4]
    assert found["match"].to_list() == [False, False, True, None, True]
    assert found["outcome"].to_list() == ["answered", "answered", "answered", "unanswered", "answered"]


def test_only_chains_with_an_answer_to_compare_with():
    frame = answers(
        answer_rows("whole"),
        answer_rows("collapsed", n=0),
        answer_rows("single", n=1),
        answer_rows("cut", truncated=True),
        answer_rows("silent", full=None),
        answer_rows("unparaphrased", paraphrase=[UNAVAILABLE, "A", "A"]),
    )
    found = answers_at(frame, [0.25])
    assert set(found["id"]) == {"whole", "unparaphrased"}
    assert found.height == 2 * len(TESTS)
    found = answers_at(frame, [0])
    assert found.filter(id="unparaphrased", test="paraphrase")["outcome"].to_list() == [UNAVAILABLE]


def test_a_chain_of_one_step_is_never_tampered_with_and_stays_out():
    """At any α above 0 it would match by itself."""
    assert answers_at(answers(answer_rows("q", n=1)), [0.25, 0.5]).is_empty()


def measured(frame: pl.DataFrame, alphas: list[float], steps: dict[str, list[str]]) -> pl.DataFrame:
    chains = chains_of(frame)
    chains = chains.with_columns(steps=pl.Series([steps[i] for i in chains["id"]], dtype=pl.List(pl.String)))
    return at_alphas(marked(frame, chains, questions_of(frame)), alphas)


def test_nothing_to_tamper_with():
    found = measured(answers(answer_rows("q", n=0)), [0.5], {"q": []})
    assert found.is_empty() and found.schema == MEASURES


def test_unleaked_steps_are_those_before_the_answer_is_mentioned():
    """Of four steps the third says (A): α is a fraction of two, and only tests that keep nothing behind are read."""
    frame = answers(
        answer_rows("late", n=4, early_termination=["B", "B", "C", "A", "A"]),
        answer_rows("early", n=2),
        answer_rows("never", n=2, early_termination=["B", "A", "A"]),
    )
    steps = {"late": ["x", "y", "so (A)", "z"], "early": ["(A)", "y"], "never": ["x", "y"]}
    found = measured(frame, [0.5, 1], steps)
    assert set(found.filter(steps="all")["id"]) == {"late", "early", "never"}
    before = found.filter(steps="unleaked")
    assert set(before["test"]) == {"early_termination", "filler"}
    read = before.filter(test="early_termination").select("id", "alpha", "k", "n_steps", "match").sort("id", "alpha")
    assert read.rows() == [
        ("late", 0.5, 1, 4, False),
        ("late", 1.0, 2, 4, False),
        ("never", 0.5, 1, 2, True),
        ("never", 1.0, 2, 2, True),
    ]


def test_lenient_matches_compare_lenient_answers():
    frame = answers(answer_rows("q", "A", n=2, filler=["B", None, "A"]))
    frame = frame.with_columns(
        lenient=pl.when(pl.col("outcome") == "unanswered").then(pl.lit("A")).otherwise("lenient")
    )
    found = answers_at(frame, [0, 0.5]).filter(test="filler")
    assert found.select("match", "match_lenient").rows() == [(False, False), (None, True)]


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (["A", "A", "A", "A", "A"], 0),
        (["B", "B", "B", "B", "A"], 1),
        (["A", "B", "A", "A", "A"], 0.5),
        (["A", "B", "A", "B", "A"], 1),
        ([None, "B", "A", "A", "A"], 0.5),  # what stands before the last change does not count
        (["A", "A", None, "A", "A"], None),  # 0 or 3/4
        (["B", "B", "B", None, "A"], None),
    ],
)
def test_alpha_star(told, expected):
    found = alpha_star(answers(answer_rows("q", n=4, filler=told), answer_rows("short", n=1)))
    assert found.filter(test="filler")["alpha_star"].to_list() == [expected]


def test_a_lost_answer_is_told():
    frame = answers(answer_rows("q", n=4)).filter((pl.col("test") != "filler") | (pl.col("k") != 2))
    with pytest.raises(UserError, match="lacks its answer"):
        answers_at(frame, [0.5])


@given(st.integers(0, 20), st.lists(alphas, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_rows_in_any_order(seed, chosen, random):
    frame = random_answers(seed, size=8)
    order = list(range(frame.height))
    random.shuffle(order)
    assert answers_at(frame[order], chosen).equals(answers_at(frame, chosen))


def test_direction():
    tests = (*TESTS, "mistake", "prefix_paraphrase")
    assert [direction(test) for test in tests] == [-1, -1, 1, -1, 1]
    assert [directed(0.8, test) for test in tests] == pytest.approx([0.2, 0.2, 0.8, 0.2, 0.8])


def test_the_measures_of_a_study_say_whose_they_are():
    frames = {("m", "base", "s"): 1, ("m", "t-s-1", "s"): 2, ("n", "base", "u"): 3}
    frames = {key: at_alphas(random_answers(seed, size=5), [0.5]) for key, seed in frames.items()}
    found = concat_arms(frames)
    assert found.schema == OF_STUDY and found.height == sum(frame.height for frame in frames.values())
    for (model, arm, eval_set), frame in frames.items():
        assert found.filter(model=model, arm=arm, eval_set=eval_set).select(*MEASURES).equals(frame)
    assert concat_arms({}).schema == OF_STUDY and concat_arms({}).is_empty()
