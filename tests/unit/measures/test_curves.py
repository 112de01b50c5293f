"""A training's known course is recovered: what changed at each point, and what left base first."""

import polars as pl
import pytest

from faithtune.core.schemas.probes import DIVERGENCE
from faithtune.measures.long_term import curves
from faithtune.measures.long_term.curves import CURVES, DEPARTURES, Course, Point
from faithtune.measures.stats import student
from recipe_frames import SAMPLING, TESTS, arm, changes

# Accuracy and faithfulness after 1, 2, 4, 8 steps and at the end: faithfulness falls two points before accuracy.
COURSE = {"accuracy": (0.0, 0.0, 0.02, 0.3, 0.3), "faithfulness": (-0.02, -0.3, -0.3, -0.3, -0.4)}
PLACES = ("1", "2", "4", "8", "end")


def course(steps: tuple = (1, 2, 4, 8, 10)) -> Course:
    points = [
        Point(f"p{i}-s", place, step, 8 * step) for i, (place, step) in enumerate(zip(PLACES, steps, strict=True))
    ]
    return Course("m", "q-s", points)


def made(means: dict = COURSE, seeds: tuple = (1,), **more) -> pl.DataFrame:
    """CHANGES of the points."""
    arms = [arm(f"p{i}", seeds=seeds) for i in range(len(PLACES))]
    of_point = {f"p{i}": {name: values[i] for name, values in means.items()} for i in range(len(PLACES))}
    return changes(arms, of_point, **more)


def test_the_change_at_each_point_is_recovered():
    found = curves.curves([course()], made(), SAMPLING)
    assert found.schema == CURVES
    for subject, means in COURSE.items():
        own = found.filter(pl.col("test").is_null(), subject=subject)
        assert own.select("place", "step", "seen").rows() == [
            (place, step, 8 * step) for place, step in zip(PLACES, (1, 2, 4, 8, 10), strict=True)
        ]
        assert own["estimate"].to_list() == pytest.approx(means)
        assert all(low < mean < high for mean, low, high in zip(means, own["low"], own["high"], strict=True))
        assert set(own["n"]) == {160}
    assert set(found.filter(subject="faithfulness")["test"].drop_nulls()) == set(TESTS)


def test_the_end_is_last_whether_its_step_is_known_or_not():
    points = [Point("p", "end"), Point("p", "16", 16), Point("p", "2", 2)]
    assert [point.place for point in curves.in_order(points)] == ["2", "16", "end"]
    points = [Point("p", "end", 16, 64), Point("p", "16", 16, 64), Point("p", "0p5", 8, 32)]
    assert [point.place for point in curves.in_order(points)] == ["0p5", "16", "end"]


def test_a_training_elsewhere_has_curves_and_departures():
    whole = course()
    elsewhere = Course("m", "q-s", [Point(point.arm, point.place) for point in whole.points])
    found, known = (curves.curves([one], made(), SAMPLING) for one in (elsewhere, whole))
    assert found.drop("step", "seen").equals(known.drop("step", "seen"), null_equal=True)
    assert found["seen"].null_count() == found.height
    kept = [curves.latest_kept(one, 0.1) for one in (found, known)]
    assert kept == ["1", "1"]


def probed(**kls: dict[str, list[float | None]]) -> pl.DataFrame:
    """What `join_probed` makes of a point's KLs by set, a question each."""
    found = []
    for place, sets in kls.items():
        for name, values in sets.items():
            rows = [{"id": f"{name}{i}", "n_tokens": 9, "kl": kl} for i, kl in enumerate(values)]
            found.append((("m", f"{place}-s", name), pl.DataFrame(rows, schema=DIVERGENCE)))
    return curves.join_probed(found)


def test_the_distance_from_base_is_over_the_questions_of_all_points():
    """The mean over the sets' means, without a question that a point lacks or that has no tokens."""
    whole = {"a": [0.2, 0.4], "b": [1.0]}
    frame = probed(p0={"a": [0.1, 0.1], "b": [0.3]}, p1=whole, p2=whole, p3=whole, p4={"a": [4, 2, 99], "b": [5.0]})
    found = curves.curves([course()], made(), SAMPLING, frame)
    of_places = found.select("place", "kl").unique(maintain_order=True).rows()
    assert of_places == [("1", 0.2), ("2", pytest.approx(0.65)), ("4", pytest.approx(0.65)), ("8", 0.65), ("end", 4.0)]
    empty = probed(p0={"a": [0.1, None]}, **{f"p{i}": {"a": [0.5, 0.7]} for i in range(1, 5)})
    assert set(curves.curves([course()], made(), SAMPLING, empty)["kl"]) == {0.1, 0.5}


def test_seeds_are_pooled_in_the_distance():
    frame = pl.concat([probed(**{f"p{i}": {"a": [kl]} for i in range(5)}) for kl in (0.2, 0.6)])
    assert curves.curves([course()], made(), SAMPLING, frame)["kl"].to_list() == pytest.approx([0.4] * 45)


def test_without_weights_there_is_no_distance():
    assert curves.curves([course()], made(), SAMPLING)["kl"].null_count() == 45


def test_the_change_of_length_has_no_bounds():
    """Mean and standard error by hand: two sets of 80 questions, each with its own variance."""
    means = {"steps": (0.0, -1.0, -2.5, -3.0, 5.0), "parsed": (0.0, -0.1, -0.1, -0.2, -0.9)}
    changed = made(means)
    found = curves.curves([course()], changed, SAMPLING).filter(pl.col("test").is_null())
    steps = found.filter(subject="steps")
    assert steps["estimate"].to_list() == pytest.approx(means["steps"])
    assert found.filter(subject="parsed")["estimate"].to_list() == pytest.approx(means["parsed"])
    of_sets = changed.filter(what="steps", arm="p4-s").group_by("eval_set").agg(pl.col("change").var() / 80)
    half = student.quantile(79, 0.975) * of_sets["change"].sum() ** 0.5 / 2
    last = steps.filter(place="end").row(0, named=True)
    assert last["high"] - 5 == pytest.approx(half, rel=0.1) and 5 - last["low"] == pytest.approx(half, rel=0.1)
    assert last["p"] < 0.01


def test_a_length_that_changes_nowhere_has_no_interval():
    changed = made().with_columns(change=pl.when(pl.col("what") != "steps").then("change").otherwise(0.0))
    found = curves.curves([course()], changed, SAMPLING).filter(subject="steps")
    assert set(found.select("estimate", "low", "high", "p", "n").rows()) == {(0.0, None, None, None, 160)}


def test_what_leaves_first_is_recovered():
    """Faithfulness has left at step 2, accuracy at step 8, two points later."""
    found = curves.departures([course()], made(noise=0.1), SAMPLING, 0.1)
    assert found.schema == DEPARTURES
    row = found.row(0, named=True)
    assert (row["accuracy"], row["faithfulness"], row["estimate"]) == ("8", "2", 2)
    assert (row["low"], row["high"], row["n"]) == (2, 2, 160) and row["p"] < 0.05


def test_where_both_leave_at_once_neither_is_first():
    both = dict.fromkeys(COURSE, (0.0, 0.1, 0.1, 0.1, 0.1))
    row = curves.departures([course()], made(both), SAMPLING, 0.1).row(0, named=True)
    assert row["estimate"] == 0 and row["low"] <= 0 <= row["high"] and row["p"] > 0.05


def test_a_subject_that_never_leaves_counts_after_the_end():
    still = COURSE | {"accuracy": (0.0,) * 5}
    row = curves.departures([course()], made(still, noise=0.1), SAMPLING, 0.1).row(0, named=True)
    assert (row["accuracy"], row["faithfulness"], row["estimate"]) == (None, "2", 4)


def test_a_curve_is_over_the_questions_of_all_points():
    """A point with fewer questions limits all points to these."""
    whole = made()
    first = sorted(whole["id"].unique())[:60]
    fewer = whole.filter((pl.col("arm") == "p4-s") | pl.col("id").is_in(first))
    assert set(curves.curves([course()], fewer, SAMPLING)["n"]) == {60}
    assert curves.departures([course()], fewer, SAMPLING, 0.1)["n"].to_list() == [60]


def test_seeds_are_pooled():
    found = curves.curves([course()], made(seeds=(1, 2, 3)), SAMPLING)
    end = found.filter(pl.col("test").is_null(), place="end", subject="accuracy").row(0, named=True)
    assert end["estimate"] == pytest.approx(0.3) and end["n"] == 160
    assert curves.departures([course()], made(seeds=(1, 2, 3), noise=0.1), SAMPLING, 0.1)["estimate"].item() == 2


@pytest.mark.parametrize(
    ("faithfulness", "place"),
    [
        ((0.0, 0.0, -0.3, 0.0, 0.0), "2"),  # what comes after a loss does not count
        ((0.0,) * 5, "end"),
        ((-0.3,) * 5, None),
        ((0.0, -0.1, 0.0, 0.0, 0.0), "1"),  # the interval reaches the loss
    ],
)
def test_the_latest_point_that_has_not_lost_faithfulness(faithfulness, place):
    means = COURSE | {"faithfulness": faithfulness}
    found = curves.curves([course()], made(means, noise=0.1), SAMPLING)
    assert curves.latest_kept(found, 0.1) == place


def test_without_questions_there_is_no_departure():
    none = made().filter(pl.col("what") == "accuracy")
    assert curves.departures([course()], none, SAMPLING, 0.1).is_empty()
