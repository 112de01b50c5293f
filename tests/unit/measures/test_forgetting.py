"""Forgetting and transfer of constructed matrices, worked out by hand."""

import numpy as np
import polars as pl
import pytest

from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.measures.alpha import OF_STUDY
from faithtune.measures.long_term.forgetting import (
    AVERAGE,
    FORGETTING,
    SUBJECTS,
    Stage,
    averages,
    forgetting,
    quantities,
)
from recipe_frames import SAMPLING, arm, changes

# R(i, j) of three stages, tuned on a, b and a again: rows are the stages 0 to 3.
#        a    b
# 0     0.2  0.1
# 1     0.6  0.3   tuned on a
# 2     0.4  0.7   tuned on b
# 3     0.5  0.5   tuned on a
STEPS = {"first": {"a": 0.4, "b": 0.2}, "second": {"a": -0.2, "b": 0.4}, "third": {"a": 0.1, "b": -0.2}}
BY_HAND = {
    ("forgetting", "a"): 0.1,  # max(0.6, 0.4) - 0.5
    ("forgetting", "b"): 0.2,  # max(0.3, 0.7) - 0.5
    ("forgetting", None): 0.15,
    ("backward", "a"): -0.1,  # 0.5 - 0.6
    ("backward", "b"): -0.2,  # 0.5 - 0.7
    ("backward", None): -0.15,
    ("forward", "b"): 0.2,  # 0.3 - 0.1
    ("forward", None): 0.2,
    ("after 1", "a"): 0.4,
    ("after 1", "b"): 0.2,
    ("after 1", None): 0.3,
    ("after 2", "a"): 0.2,
    ("after 2", "b"): 0.6,
    ("after 2", None): 0.4,
    ("by 2", "a"): -0.2,
    ("by 2", "b"): 0.4,
    ("by 2", None): 0.1,
    ("by 3", "a"): 0.1,
    ("by 3", "b"): -0.2,
    ("by 3", None): -0.05,
    ("after 3", "a"): 0.3,
    ("after 3", "b"): 0.4,
    ("after 3", None): 0.35,
}
STAGES = [Stage("m", "first-s", 1, ["a"]), Stage("m", "second-s", 1, ["b"]), Stage("m", "third-s", None, ["a"])]


NONE = pl.DataFrame(schema=FORGETTING | {"model": pl.String, "arm": pl.String})


def made(steps: dict = STEPS, **more) -> pl.DataFrame:
    """CHANGES of the stages on both sets."""
    frames = []
    for eval_set in ("a", "b"):
        arms = [arm(name) for name in steps]
        means = {name: dict.fromkeys(SUBJECTS, of[eval_set]) for name, of in steps.items()}
        frames.append(changes(arms, means, sets=(eval_set,), **more))
    return pl.concat(frames)


@pytest.mark.parametrize("subject", ["accuracy", "lift", "faithfulness", "chains"])
def test_a_matrix_worked_out_by_hand(subject):
    found = forgetting([STAGES], made(noise=0.1), NONE, SAMPLING)
    assert found.schema == FORGETTING and set(found["path"]) == {"first-s → second-s → third-s"}
    own = found.filter(subject=subject)
    values = {(quantity, name): value for quantity, name, value in own.select(*FORGETTING.names()[3:6]).rows()}
    assert values == pytest.approx(BY_HAND)
    for quantity, eval_set, value, low, high, n in own.select(*FORGETTING.names()[3:]).rows():
        assert low < value < high, (quantity, eval_set)
        assert n == (160 if eval_set is None and quantity != "forward" else 80)


def test_what_is_forgotten_is_the_most_that_was_known():
    """Chaudhry's maximum is over all earlier stages, so that it is more than minus backward transfer."""
    rising = {"first": {"a": 0.1, "b": 0.0}, "second": {"a": 0.3, "b": 0.0}, "third": {"a": -0.3, "b": 0.0}}
    found = forgetting([STAGES], made(rising, noise=0.1), NONE, SAMPLING).filter(subject="accuracy", eval_set="a")
    assert dict(found.select("quantity", "estimate").rows()) == pytest.approx(
        {"after 1": 0.1, "after 2": 0.4, "after 3": 0.1, "by 2": 0.3, "by 3": -0.3, "forgetting": 0.3, "backward": 0.0}
    )


def test_a_set_that_no_stage_learns_has_only_its_changes():
    always = {"after 1", "after 2", "by 2"}
    assert quantities(np.array([[0.1, 0.2]]), None).keys() == always
    assert quantities(np.array([[0.1, 0.2]]), 2).keys() == always | {"forward"}
    assert quantities(np.array([[0.1, 0.2]]), 1).keys() == always | {"forgetting", "backward"}


def test_a_known_chain_of_noise_has_an_interval_that_pairing_makes_narrow():
    """Questions vary by 0.3, but alike in every stage: what a later stage undoes is undone in each question."""
    undone = {"first": {"a": 0.2, "b": 0.0}, "second": {"a": 0.0, "b": 0.0}, "third": {"a": 0.0, "b": 0.0}}
    found = forgetting([STAGES[:2]], made(undone, noise=0.02), NONE, SAMPLING).filter(subject="accuracy", eval_set="a")
    backward = found.filter(quantity="backward").row(0, named=True)
    assert backward["high"] - backward["low"] < 0.05 and backward["low"] < 0 < backward["high"]


def test_a_stage_is_that_of_the_seed_from_which_the_next_one_starts():
    """Another seed of an early stage, which nothing starts from, does not count."""
    other = made().filter(arm="first-s").with_columns(seed=pl.lit(2, pl.Int64), change=pl.lit(0.9))
    found = forgetting([STAGES], pl.concat([made(), other]), NONE, SAMPLING)
    assert found.equals(forgetting([STAGES], made(), NONE, SAMPLING))


def test_stages_are_compared_on_the_questions_of_all():
    whole = made()
    first = sorted(whole.filter(eval_set="a")["id"].unique())[:30]
    fewer = whole.filter((pl.col("arm") != "second-s") | (pl.col("eval_set") == "b") | pl.col("id").is_in(first))
    found = forgetting([STAGES], fewer, NONE, SAMPLING).filter(subject="accuracy", quantity="after 3")
    assert dict(found.select("eval_set", "n").rows()) == {None: 110, "a": 30, "b": 80}


def test_the_average_is_the_level_after_the_last_stage_worked_out_by_hand():
    """Filler changes the answers of a and half of the answers of b, paraphrases change none: a 1, b ½ (½ + 1)."""
    named = [{"model": "m", "arm": f"third-s-{seed}", "label": "third-s", "seed": seed} for seed in (1, 2)]
    rows = [
        {"model": "m", "arm": arm, "eval_set": name, "id": f"{name}{i}", "group": f"{name}{i}", "test": test, "k": k}
        | {"steps": steps, "alpha": 0.25 * k, "n_steps": 3, "real": k < 3, "outcome": "answered"}
        | {"match": test == "paraphrase" or k == 3 or steps != "all" or (name == "b" and i % 2 == 0)}
        for arm in ("third-s-1", "third-s-2", "other-s-1")
        for name in "ab"
        for i in range(20)
        for test in ("filler", "paraphrase")
        for steps, k in (("all", 1), ("all", 2), ("all", 3), ("unleaked", 1))
    ]
    level = {"model": "m", "arm": "third-s", "metric": "accuracy", "test": "cot", "eval_set": "average"}
    level |= {"estimate": 0.4, "low": 0.3, "high": 0.5, "n": 80}
    others = [level | {"test": "no_cot", "estimate": 0.9}, level | {"eval_set": "a", "estimate": 0.9}]
    estimates = pl.DataFrame([level, *others], schema=ESTIMATES)
    found = averages(named, estimates, pl.DataFrame(rows, schema=OF_STUDY), SAMPLING)
    both = forgetting([STAGES], made(), found, SAMPLING).filter(quantity=AVERAGE)
    assert both.select("subject", "eval_set", "estimate", "n").rows() == [
        ("accuracy", None, 0.4, 80),
        ("faithfulness", None, pytest.approx((1 + (0.5 + 1) / 2) / 2), 40),
    ]
    assert all(low < value < high for value, low, high in both.select("estimate", "low", "high").rows())


def test_paths_of_two_models_stay_apart():
    """Two models tuned by the same recipes have stages of the same names."""
    other = made().with_columns(model=pl.lit("o"), change=pl.col("change") + 0.1)
    stages = [stage._replace(model="o") for stage in STAGES]
    found = forgetting([STAGES, stages], pl.concat([made(), other]), NONE, SAMPLING)
    alone = forgetting([STAGES], made(), NONE, SAMPLING)
    assert found.filter(model="m").equals(alone) and found.filter(model="o").height == alone.height
    assert set(found["path"]) == {"first-s → second-s → third-s"}
