"""AUC of probes' scores: by hand, against scikit-learn, its intervals and its change by a tuning."""

import numpy as np
import polars as pl
import pytest
from sklearn.metrics import roc_auc_score

from faithtune.measures.inside import decoding
from faithtune.measures.inside.decoding import Side
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.probes import linear

SAMPLING = Sampling(replicates=2000, seed=1)


def side(
    letters: list[str | None],
    scores: dict[str, list[float]],
    groups: list[str] | None = None,
    part: str = "states",
    layer: int | None = 0,
) -> Side:
    """An arm's answers to questions q0, q1, ... and the scores of each option."""
    ids = [f"q{i}" for i in range(len(letters))]
    rows = [
        {"id": name, "part": part, "layer": layer, "option": option, "value": value}
        for option, values in scores.items()
        for name, value in zip(ids, values, strict=True)
    ]
    schema = {"id": pl.String, "part": pl.String, "layer": pl.Int32, "option": pl.String, "value": pl.Float64}
    answers = pl.DataFrame(
        {"id": ids, "answer": letters, "group": groups or ids}, schema_overrides={"answer": pl.String}
    )
    return Side(pl.DataFrame(rows, schema=schema), answers)


def noisy(letters: list[str], strength: float, seed: int) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {
        option: list(strength * np.array([letter == option for letter in letters]) + rng.normal(size=len(letters)))
        for option in sorted(set(letters))
    }


def answers(n: int, seed: int = 0, letters: str = "AB") -> list[str]:
    return list(np.random.default_rng(seed).choice(list(letters), n))


def test_auc_by_hand():
    """A: 0.9 and 0.5 against 0.5 and 0.1 win 3 pairs of 4 and tie 1. B: 0.8 and 0.2 against 0.3 and 0.4 win 2."""
    arm = side(["A", "A", "B", "B"], {"A": [0.9, 0.5, 0.5, 0.1], "B": [0.3, 0.4, 0.8, 0.2]})
    [row] = decoding.estimate_auc(arm, SAMPLING).to_dicts()
    assert row["auc"] == pytest.approx((3.5 / 4 + 2 / 4) / 2)
    assert (row["part"], row["layer"], row["n"], row["n_options"]) == ("states", 0, 4, 2)


def test_an_option_without_pairs_is_not_averaged():
    arm = side(["A", "A", "B", "B"], {"A": [0.9, 0.5, 0.5, 0.1], "C": [0.3, 0.4, 0.8, 0.2]})
    [row] = decoding.estimate_auc(arm, SAMPLING).to_dicts()
    assert row["auc"] == pytest.approx(3.5 / 4) and row["n_options"] == 1
    [row] = decoding.estimate_auc(side(["A", "A"], {"A": [0.1, 0.2]}), SAMPLING).to_dicts()
    assert row["auc"] is None and row["low"] is None and row["n_options"] == 0


def test_auc_of_draws_is_that_of_scikit_learn():
    """With whole numbers of ties, and weights as often as questions are drawn."""
    rng = np.random.default_rng(2)
    for _ in range(20):
        scores, positive = rng.integers(0, 6, 40) / 5, rng.random(40) < 0.3
        weights = rng.poisson(size=(7, 40))
        found = decoding.auc(scores, positive, weights)
        theirs = [roc_auc_score(positive.repeat(row), scores.repeat(row)) for row in weights]
        assert found == pytest.approx(theirs)


def test_draws_beyond_one_piece_of_memory_are_the_same():
    rng = np.random.default_rng(3)
    scores, positive, weights = rng.random(12), np.arange(12) % 3 == 0, rng.poisson(size=(1203, 12))
    found = decoding.auc(scores, positive, weights)
    assert len(found) == 1203
    one_by_one = [decoding.auc(scores, positive, row[None])[0] for row in weights[::100]]
    np.testing.assert_array_equal(found[::100], one_by_one)


def test_a_draw_without_one_of_the_two_kinds_has_no_auc():
    scores, positive = np.array([0.1, 0.9, 0.4]), np.array([True, False, True])
    found = decoding.auc(scores, positive, np.array([[0, 1, 0], [1, 0, 2], [0, 2, 1], [0, 0, 0]]))
    np.testing.assert_array_equal(found, [np.nan, np.nan, 0.0, np.nan])


def test_draws_average_the_options_that_they_define():
    """C occurs in one group, which many draws lack: those average A and B, and the interval stands."""
    letters = [*answers(60), "C", "C"]
    arm = side(letters, noisy(letters, 1.0, 4), groups=[*map(str, range(60)), "c", "c"])
    [row] = decoding.estimate_auc(arm, SAMPLING).to_dicts()
    assert row["n_options"] == 3 and row["low"] < row["auc"] < row["high"]


def test_questions_without_an_answer_do_not_count():
    letters = answers(40)
    scores = noisy(letters, 1.0, 5)
    full = side(letters, scores)
    gone = side([*letters, None, None], {option: [*values, 9.0, -9.0] for option, values in scores.items()})
    assert decoding.estimate_auc(gone, SAMPLING).equals(decoding.estimate_auc(full, SAMPLING))


def test_parts_and_layers_are_apart_and_in_order():
    letters = answers(40)
    sides = [
        side(letters, noisy(letters, strength, 6), part=part, layer=layer)
        for part, layer, strength in (("states", 1, 9.0), ("states", 0, 0.0), ("text", None, 9.0))
    ]
    found = decoding.estimate_auc(Side(pl.concat([one.rows for one in sides]), sides[0].answers), SAMPLING)
    assert found.schema == decoding.DECODING
    assert found.select("part", "layer").rows() == [("states", 1), ("states", 0), ("text", None)]
    assert found["auc"][0] > 0.99 and found["auc"][2] > 0.99 and abs(found["auc"][1] - 0.5) < 0.2


def test_the_interval_is_of_other_questions_and_of_other_probes():
    """Scores of two normal distributions 1 apart, 300 samples of 60 questions: AUC is Φ(1/√2) = 0.7602.

    These are scores of one rule for all, not of probes that learn from the other questions, so the interval is longer
    than they need, by the factor for the fitting.
    """
    widths, found = [], []
    for seed in range(300):
        letters = answers(60, seed)
        scores = {"A": noisy(letters, 1.0, 1000 + seed)["A"]}
        [row] = decoding.estimate_auc(side(letters, scores), Sampling(replicates=500, seed=1)).to_dicts()
        widths.append(row["high"] - row["low"])
        found.append(row["auc"])
    assert np.mean(found) == pytest.approx(0.7602, abs=0.01)
    assert np.mean(widths) == pytest.approx(1.5 * 2 * 1.96 * np.std(found), rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("strength", [0.0, 3.0])
def test_arms_that_are_equally_decodable_seldom_differ(strength):
    """Two arms of states with noise of their own and the answer along one direction; 60 pairs, probes and all."""
    n, width, rejected = 120, 64, 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        letters = answers(n, seed)
        along = rng.normal(size=width)
        along *= strength / np.linalg.norm(along)
        sample = linear.Sample([f"q{i}" for i in range(n)], [f"q{i}" for i in range(n)], ["red"] * n)
        sides = []
        for _ in range(2):
            states = rng.normal(size=(n, 1, width)) + np.outer(np.array(letters) == "A", along)[:, None]
            rows = linear.decode(sample, linear.Side(states, letters), seed=1)
            sides.append(Side(rows, side(letters, {}).answers))
        found = decoding.compare_auc(*sides, Sampling(replicates=500, seed=1))
        rejected += found.filter(part="states")["p"][0] < 0.05
    assert rejected <= 7  # 3 are expected; more than 7 have a probability of 1 %


def test_groups_are_drawn_whole():
    letters = [letter for letter in answers(40) for _ in range(5)]
    scores = {"A": [x for x in noisy(letters[::5], 1.0, 7)["A"] for _ in range(5)]}
    together = decoding.estimate_auc(side(letters, scores, [str(i // 5) for i in range(200)]), SAMPLING).row(
        0, named=True
    )
    apart = decoding.estimate_auc(side(letters, scores), SAMPLING).row(0, named=True)
    assert together["auc"] == apart["auc"]
    assert together["high"] - together["low"] > 1.8 * (apart["high"] - apart["low"])


def test_an_auc_of_1_in_all_draws_has_no_interval():
    arm = side(["A"] * 10 + ["B"] * 10, {"A": [1.0] * 10 + [0.0] * 10})
    [row] = decoding.estimate_auc(arm, SAMPLING).to_dicts()
    assert (row["auc"], row["low"], row["high"]) == (1.0, None, None)


def test_the_change_is_the_difference_over_the_questions_that_both_answer():
    letters = answers(80)
    tuned, base = list(letters), list(letters)
    tuned[:5], base[5:10] = [None] * 5, [None] * 5
    ours, theirs = noisy(letters, 2.0, 8), noisy(letters, 0.5, 9)
    [row] = decoding.compare_auc(side(tuned, ours), side(base, theirs), SAMPLING).to_dicts()
    both = slice(10, 80)
    expected = [
        np.mean([roc_auc_score(np.array(letters[both]) == option, scores[option][both]) for option in "AB"])
        for scores in (ours, theirs)
    ]
    assert row["change"] == pytest.approx(expected[0] - expected[1]) and row["n"] == 70
    assert 0 < row["low"] < row["change"] < row["high"] and row["p"] < 0.05


def test_p_agrees_with_the_interval_and_changes_sign_with_the_sides():
    letters = answers(80)
    for strength in (0.6, 0.9, 1.4):
        first, second = side(letters, noisy(letters, strength, 8)), side(letters, noisy(letters, 0.5, 9))
        [row] = decoding.compare_auc(first, second, SAMPLING).to_dicts()
        [back] = decoding.compare_auc(second, first, SAMPLING).to_dicts()
        assert (row["p"] < 0.05) == (row["low"] > 0 or row["high"] < 0)
        assert (back["change"], back["low"], back["high"]) == pytest.approx((-row["change"], -row["high"], -row["low"]))
        assert back["p"] == pytest.approx(row["p"])


def test_pairs_have_less_noise_than_their_sides():
    """Scores that both arms share cancel."""
    letters = answers(100)
    shared = noisy(letters, 1.0, 10)
    other = {option: [x + 0.1 * i for i, x in enumerate(values[::-1])][::-1] for option, values in shared.items()}
    same = {option: [x + 0.01 * (i % 3) for i, x in enumerate(values)] for option, values in shared.items()}
    [close] = decoding.compare_auc(side(letters, same), side(letters, shared), SAMPLING).to_dicts()
    [far] = decoding.compare_auc(side(letters, other), side(letters, shared), SAMPLING).to_dicts()
    assert close["high"] - close["low"] < 0.2 * (far["high"] - far["low"])


def test_arms_may_answer_other_letters_than_base():
    """Each AUC is of the arm's own answers."""
    tuned, base = answers(60, 1), answers(60, 2, "ABC")
    [row] = decoding.compare_auc(
        side(tuned, noisy(tuned, 9.0, 3)), side(base, noisy(base, 0.0, 4)), SAMPLING
    ).to_dicts()
    assert row["change"] == pytest.approx(0.5, abs=0.12) and row["p"] < 1e-3


def test_arms_that_share_no_question_or_part_have_no_change():
    letters = answers(10)
    none = side([None] * 10, noisy(letters, 1.0, 1))
    found = decoding.compare_auc(side(letters, noisy(letters, 1.0, 1)), none, SAMPLING)
    assert found.height == 0 and found.schema == decoding.CHANGES
    other = side(letters, noisy(letters, 1.0, 1), part="text", layer=None)
    assert decoding.compare_auc(side(letters, noisy(letters, 1.0, 1)), other, SAMPLING).height == 0
    assert decoding.estimate_auc(none, SAMPLING).height == 0


def test_two_runs_are_equal():
    letters = answers(50)
    arm, base = side(letters, noisy(letters, 1.0, 1)), side(letters, noisy(letters, 0.5, 2))
    assert decoding.compare_auc(arm, base, SAMPLING).equals(decoding.compare_auc(arm, base, SAMPLING))
