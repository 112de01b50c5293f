"""Linear probes of states that hold the answer in known layers, directions and groups, or not at all."""

import random
import warnings

import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

import known
from faithtune.core.errors import UserError
from faithtune.probes import linear
from faithtune.probes import states as read_states
from faithtune.probes.linear import BASE, PARTS, SCORES, SHUFFLED, STATES, TEXT, Sample, Side

N, LAYERS, WIDTH = 240, 4, 96
HOLDING = (1, 3)  # the layers that hold the answer


def sample(n: int = N, texts: list[str] | None = None, groups: list[str] | None = None) -> Sample:
    ids = [f"{i:016x}" for i in range(n)]
    return Sample(
        ids, groups or [f"group {i // 2}" for i in range(n)], texts or [f"red {i % 7} blue" for i in range(n)]
    )


def answers(n: int = N, letters: str = "ABC", seed: int = 0) -> list[str]:
    return list(np.random.default_rng(seed).choice(list(letters), n))


def directions(seed: int = 5) -> np.ndarray:
    """Orthonormal directions: one an option, and as many again that are orthogonal to these."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(WIDTH, 8)))[0].T


def states(given: list[str | None], along: np.ndarray, seed: int = 1, strength: float = 12.0) -> np.ndarray:
    """States with noise, and in the layers HOLDING the answer along its direction."""
    found = np.random.default_rng(seed).normal(size=(len(given), LAYERS, WIDTH))
    for layer in HOLDING:
        for i, answer in enumerate(given):
            if answer is not None:
                found[i, layer] += strength * along["ABCDE".index(answer)]
    return found.astype(np.float32)


def auc(rows, given: list[str | None], part: str, layer: int | None, ids: list[str] | None = None) -> float:
    """Mean AUC of the options, by scikit-learn."""
    letters = dict(zip(ids or sample(len(given)).ids, given, strict=True))
    found = []
    rows = rows.filter(part=part) if layer is None else rows.filter(part=part, layer=layer)
    for (option,), one in rows.group_by("option"):
        found.append(roc_auc_score([letters[name] == option for name in one["id"]], one["value"]))
    assert len(found) > 1
    return float(np.mean(found))


def test_the_answer_is_decoded_in_the_layers_that_hold_it():
    given = answers()
    rows = linear.decode(sample(), Side(states(given, directions()), given), seed=3)
    assert rows.schema == SCORES
    for layer in range(LAYERS):
        if layer in HOLDING:
            assert auc(rows, given, STATES, layer) > 0.98
        else:
            assert auc(rows, given, STATES, layer) == pytest.approx(0.5, abs=0.08)
        assert auc(rows, given, SHUFFLED, layer) == pytest.approx(0.5, abs=0.08)
    assert auc(rows, given, TEXT, None) == pytest.approx(0.5, abs=0.08)


def test_each_question_is_scored_once_for_each_option_and_part():
    given = answers()
    rows = linear.decode(sample(), Side(states(given, directions()), given), seed=3)
    assert rows.height == N * 3 * (1 + 2 * LAYERS)
    assert not rows.select("id", "part", "layer", "option").is_duplicated().any()
    assert set(rows["measure"]) == {"linear"} and set(rows["option"]) == set("ABC")
    assert rows.filter(part=TEXT)["layer"].null_count() == N * 3
    assert rows["value"].is_between(0, 1).all() and rows["value"].round(6).equals(rows["value"])


def test_answers_that_the_question_gives_away_are_read_from_its_text():
    given = answers()
    words = {"A": "a cold winter", "B": "one warm summer", "C": "x 1"}  # single letters and digits count
    texts = [f"in {words[answer]} of {i}" for i, answer in enumerate(given)]
    rows = linear.decode(sample(texts=texts), Side(states(given, directions()), given), seed=3)
    assert auc(rows, given, TEXT, None) > 0.98
    assert auc(rows, given, TEXT, None) == pytest.approx(auc(rows, given, STATES, 1), abs=0.02)


def test_what_tells_groups_apart_is_not_taken_for_the_answer():
    """Questions of a group have one answer and one state: learnt with the group, nothing is learnt about others."""
    n, members = 320, 4
    of_group = answers(n // members)
    given = [answer for answer in of_group for _ in range(members)]
    place = np.random.default_rng(8).normal(size=(n // members, 1, WIDTH)).repeat(members, axis=0)
    own = (place + 0.01 * np.random.default_rng(9).normal(size=place.shape)).astype(np.float32)
    grouped = sample(n, groups=[f"passage {i // members}" for i in range(n)])
    assert auc(linear.decode(grouped, Side(own, given), seed=3), given, STATES, 0) == pytest.approx(0.5, abs=0.1)
    alone = sample(n, groups=[str(i) for i in range(n)])
    assert auc(linear.decode(alone, Side(own, given), seed=3), given, STATES, 0) > 0.95


def test_no_group_is_in_two_folds_and_an_arm_has_those_of_base():
    groups = [f"g{i % 31}" for i in range(N)]
    folds = np.array(list(linear._folds(groups, answers(), 3)))
    assert folds.shape == (5, N) and (folds.sum(axis=0) == 1).all()
    for fold in folds:
        held_out = {group for group, out in zip(groups, fold, strict=True) if out}
        assert held_out.isdisjoint(group for group, out in zip(groups, fold, strict=True) if not out)
    assert (folds != np.array(list(linear._folds(groups, answers(), 4)))).any()


def test_probes_of_base_read_an_arm_that_shares_the_direction():
    """Whatever shift its states have besides; and not the arm whose direction is another or the opposite."""
    given, along = answers(), directions()
    base = Side(states(given, along), given)
    shift = 4000 * along[0].astype(np.float32)  # along what the probe of A reads
    for own, least, most in (
        (states(given, along, seed=2) + shift, 0.97, 1.0),
        (states(given, along[4:], seed=2), 0.35, 0.65),
        (-states(given, along, seed=2), 0.0, 0.03),
    ):
        rows = linear.decode(sample(), Side(own, given), seed=3, base=base)
        assert auc(rows, given, STATES, 1) > 0.97  # a probe of the arm's own finds it in any direction
        assert least <= auc(rows, given, BASE, 1) <= most
    assert set(linear.decode(sample(), base, seed=3)["part"]) == {STATES, TEXT, SHUFFLED}


def test_probes_of_base_learn_bases_answers():
    """Base's states hold its own answers, and the arm answers something else: what is applied is base's probe."""
    along, theirs, given = directions(), answers(seed=1), answers(seed=2)
    base = Side(states(theirs, along), theirs)
    rows = linear.decode(sample(), Side(states(theirs, along, seed=4), given), seed=3, base=base)
    assert auc(rows, theirs, BASE, 1) > 0.97 and auc(rows, given, BASE, 1) == pytest.approx(0.5, abs=0.1)
    assert auc(rows, given, STATES, 1) == pytest.approx(0.5, abs=0.1)


def test_questions_without_an_answer_are_left_out_of_an_arm_and_of_base():
    given = answers()
    own, theirs = list(given), list(given)
    own[::5], theirs[1::5] = [None] * len(own[::5]), [None] * len(theirs[1::5])
    along = directions()
    rows = linear.decode(sample(), Side(states(own, along), own), seed=3, base=Side(states(theirs, along), theirs))
    left = {name for name, answer in zip(sample().ids, own, strict=True) if answer is not None}
    assert {part: set(one["id"]) for (part,), one in rows.group_by("part")} == dict.fromkeys(PARTS, left)
    assert auc(rows, own, BASE, 1) > 0.97


def test_a_rare_option_is_not_probed_but_among_the_rest():
    given = answers(letters="AB")
    for i in (3, 30, 80, 120):
        given[i] = "E"
    rows = linear.decode(sample(), Side(states(given, directions()), given), seed=3)
    assert set(rows["option"]) == {"A", "B"} and rows["id"].n_unique() == N


def test_a_fold_without_an_option_to_learn_has_no_rows_for_it():
    """Base answers all in one group with B, which one fold holds out: there B is not learnt from base."""
    given = answers(letters="AB")
    theirs = ["A"] * N
    theirs[0] = theirs[1] = "B"
    assert sample().groups[0] == sample().groups[1]
    along = directions()
    rows = linear.decode(sample(), Side(states(given, along), given), 3, Side(states(theirs, along), theirs))
    [fold] = [fold for fold in linear._folds(sample().groups, theirs, 3) if fold[0]]
    assert set(rows.filter(part=BASE)["id"]) == {n for n, out in zip(sample().ids, fold, strict=True) if not out}
    assert rows.filter(part=STATES)["id"].n_unique() == N


def test_base_may_answer_all_options_too_seldom_to_stratify():
    given, theirs = ["A", "B"] * 6, list("ABCD") * 3
    base, few = Side(states(theirs, directions()), theirs), sample(12, groups=[str(i) for i in range(12)])
    rows = linear.decode(few, Side(states(given, directions()), given), 3, base)
    assert rows.filter(part=STATES, layer=0).height == 24


def test_states_that_do_not_differ_tie():
    """As before the first layer, where the last token is the same."""
    given = answers()
    own = np.full((N, 1, WIDTH), 0.1234567, dtype=np.float32)
    rows = linear.decode(sample(), Side(own, given), seed=3, base=Side(own, given))
    assert set(rows.filter(pl.col("part") != TEXT)["value"]) == {0.5}


def test_features_along_fewer_dimensions_give_the_same_probe():
    rng = np.random.default_rng(4)
    train, test, labels = rng.normal(size=(30, 200)), rng.normal(size=(9, 200)), np.arange(30) % 3 == 0
    ours, theirs = linear._rotated(train, test)
    assert ours.shape[1] <= 30
    plain, rotated = (
        LogisticRegression(C=3.0, tol=1e-10, max_iter=5000).fit(first, labels).predict_proba(second)
        for first, second in ((train, test), (ours, theirs))
    )
    assert rotated == pytest.approx(plain, abs=1e-6)


def test_two_runs_are_equal_and_another_seed_is_not():
    given = answers()
    side = Side(states(given, directions(), strength=2.0), given)
    first, second, other = (linear.decode(sample(), side, seed, side) for seed in (3, 3, 4))
    assert first.equals(second) and not first.equals(other)


def test_nothing_is_warned_of():
    given = answers(60)
    own = states(given, directions(), strength=1e4)
    own[:, 2] *= 1e-30
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        linear.decode(sample(60), Side(own, given), seed=3, base=Side(own, given))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["A"] * 20, "it answers A in 20"),
        (["A"] * 20 + ["B"] * 4, "it answers A in 20, B in 4"),
        ([None] * 20, "it answers no question"),
    ],
)
def test_too_few_answers_are_named_with_what_would_be_enough(given, words):
    groups = [str(i) for i in range(len(given))]
    reason = linear.why_not(given, groups)
    assert "two options that the arm answers in at least 5 groups" in reason and reason.endswith(words)
    with pytest.raises(UserError, match=words):
        linear.decode(sample(len(given), groups=groups), Side(np.zeros((len(given), 1, 2)), given), seed=1)


def test_groups_are_counted_and_not_questions():
    given = ["A", "B"] * 20
    assert linear.why_not(given, [str(i // 10) for i in range(40)]) is not None
    assert linear.why_not(given, [str(i // 8) for i in range(40)]) is None


def test_states_that_are_not_finite_are_an_error():
    given = answers()
    own = states(given, directions())
    bad = own.copy()
    bad[7, 2, 5] = np.nan
    for arm, base in ((bad, None), (own, bad)):
        with pytest.raises(UserError, match="layer 2 are not finite"):
            linear.decode(sample(), Side(arm, given), 3, None if base is None else Side(base, given))


@pytest.mark.slow
def test_a_trained_network_knows_its_answer_before_the_chain_where_the_question_decides_it():
    """From the question the answer can be read before the chain; from the chain it cannot. Digits stand as letters."""
    network, rng = known.network(), random.Random(4)
    model, found = known.model_of(network), {}
    for rule in ("red", "blue"):
        states, answers = [], []
        for _ in range(80):
            asked, said = rng.randrange(4), rng.randrange(4)
            ids = model.token_ids(known.before(rule, asked))
            states.append(read_states.read(network, ids, [len(ids) - 1])[0][:, 0].numpy())
            answers.append("ABCD"[said if rule == "red" else asked])
        names = [f"q{i}" for i in range(80)]
        rows = linear.decode(linear.Sample(names, names, names), linear.Side(np.stack(states), answers), 0)
        last = rows.filter(part="states", layer=2).with_columns(
            hit=pl.col("option") == pl.col("id").replace_strict(dict(zip(names, answers, strict=True)))
        )
        found[rule] = roc_auc_score(last["hit"].to_numpy(), last["value"].to_numpy())
    assert found["blue"] > 0.95 and abs(found["red"] - 0.5) < 0.15
