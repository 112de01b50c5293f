"""Checkpoints in the report: the figure of curves, and the sentence of the verdict."""

from xml.etree import ElementTree

import polars as pl
import pytest

from faithtune.measures.long_term.curves import CURVES, DEPARTURES
from faithtune.report.figures import figures
from faithtune.report.verdict.courses import courses
from recipe_frames import SAMPLING, arm, base

SVG = "{http://www.w3.org/2000/svg}"
PLACES = {"1": 1, "8": 8, "end": 30}


def points(name: str = "q", model: str = "m", lows: tuple = (-0.05, -0.2, -0.3)) -> pl.DataFrame:
    """CURVES of a training; lows: of the intervals of faithfulness at its points."""
    rows = [
        {"model": model, "arm": f"{name}-s", "place": place, "step": step, "seen": 4 * step, "subject": subject}
        | {"estimate": low + 0.04, "low": low, "high": low + 0.08, "n": 40}
        for (place, step), low in zip(PLACES.items(), lows, strict=True)
        for subject in ("accuracy", "lift", "faithfulness", "chains")
    ]
    return pl.DataFrame(rows, schema=CURVES)


def left(accuracy: str | None, faithfulness: str | None, low: float, high: float, name: str = "q") -> pl.DataFrame:
    row = {"model": "m", "arm": f"{name}-s", "margin": 0.1, "accuracy": accuracy, "faithfulness": faithfulness}
    return pl.DataFrame([row | {"estimate": 1, "low": low, "high": high, "p": 0.01, "n": 40}], schema=DEPARTURES)


def drawn(frame: pl.DataFrame, tmp_path) -> list[str]:
    context = figures.FigureContext([base(), arm("q"), arm("r"), arm("q", model="n")], SAMPLING)
    figures.write("checkpoints", frame, context, tmp_path / "f.svg", tmp_path / "f.parquet")
    return ["".join(node.itertext()) for node in ElementTree.parse(tmp_path / "f.svg").iter(f"{SVG}text")]


def test_a_line_for_each_training_and_a_panel_for_each_subject(tmp_path):
    said = drawn(pl.concat([points(), points("r")]), tmp_path)
    first = (tmp_path / "f.svg").read_bytes()
    assert {"q-s", "r-s", "examples seen", "faithfulness", "valid chains", "CoT lift", "answers read"} <= set(said)
    drawn(pl.concat([points(), points("r")]), tmp_path)
    assert (tmp_path / "f.svg").read_bytes() == first


def test_a_path_against_the_distance_from_base_where_that_is_known(tmp_path):
    """A second column of panels for the model that has it; KL may go back."""
    kl = pl.col("place").replace_strict({"1": 0.01, "8": 0.4, "end": 0.2})
    known, other = points().with_columns(kl=kl), points(model="n")
    said = drawn(pl.concat([known, other]), tmp_path)
    assert said.count("KL from base, nats per token") == 1 and said.count("examples seen") == 2
    assert "KL from base, nats per token" not in drawn(pl.concat([points(), other]), tmp_path)


def test_the_end_of_a_training_elsewhere_is_one_doubling_after_the_last_step(tmp_path):
    step = pl.when(pl.col("place") != "end").then("step")
    elsewhere = points().with_columns(seen=pl.lit(None, pl.Int64), step=step)
    assert "optimiser steps" in drawn(elsewhere, tmp_path)
    first = (tmp_path / "f.svg").read_bytes()
    drawn(elsewhere.with_columns(step=pl.col("step").fill_null(16)), tmp_path)
    assert (tmp_path / "f.svg").read_bytes() == first


def test_a_study_without_checkpoints_says_so(tmp_path):
    assert drawn(pl.DataFrame(schema=CURVES), tmp_path) == ["the study measures no checkpoints"]


@pytest.mark.parametrize(
    ("lows", "departure", "sentence"),
    [
        (
            (-0.05, -0.2, -0.3),
            left("end", "8", 1, 1),
            "Step 1 is the latest checkpoint up to which 0.1 of faithfulness is not lost; faithfulness leaves base by"
            " step 8, accuracy leaves base by step 30: faithfulness moves first.",
        ),
        (
            (-0.05, -0.05, -0.05),
            left("8", None, -2, -1),
            "No checkpoint loses 0.1 of faithfulness; faithfulness never leaves base by as much, accuracy is not"
            " shown to leave base by step 8: accuracy moves first.",
        ),
        (
            (-0.2, -0.2, -0.2),
            left("1", "1", -1, 1),
            "Already at its first checkpoint, step 1, the training may have lost 0.1 of faithfulness; faithfulness"
            " leaves base by step 1, accuracy leaves base by step 1: nothing shows which is first.",
        ),
        (
            (-0.05, -0.05, -0.2),
            left(None, None, 0, 0),
            "Step 8 is the latest checkpoint up to which 0.1 of faithfulness is not lost.",
        ),
    ],
)
def test_the_sentence_on_a_training(lows, departure, sentence):
    found = courses(points(lows=lows), departure, 0.1)["m", "q-s"]
    assert found["sentence"] == sentence
    assert found["points"] == 3 and found["step"] == PLACES.get(found["latest_kept"])


def test_too_few_questions_are_no_loss():
    wide = points(lows=(-0.2, -0.2, -0.2)).with_columns(high=pl.lit(0.1))
    found = courses(wide, left("1", "1", -1, 1), 0.1)["m", "q-s"]
    assert found["sentence"] == (
        "Already at its first checkpoint, step 1, too few questions tell whether 0.1 of faithfulness is lost;"
        " faithfulness is not shown to leave base by step 1, accuracy is not shown to leave base by step 1: nothing"
        " shows which is first."
    )


def test_the_sentence_on_a_training_elsewhere():
    """Its end has no step; chains that were imported have no faithfulness."""
    elsewhere = points(lows=(-0.05, -0.05, -0.2)).with_columns(step=pl.when(pl.col("place") != "end").then("step"))
    found = courses(elsewhere, left("8", "end", -2, -1), 0.1)["m", "q-s"]
    assert found["sentence"] == (
        "Step 8 is the latest checkpoint up to which 0.1 of faithfulness is not lost; faithfulness leaves base by the"
        " end, accuracy is not shown to leave base by step 8: accuracy moves first."
    )
    lost = pl.when(pl.col("subject") != "faithfulness")
    imported = elsewhere.with_columns(estimate=lost.then("estimate"), low=lost.then("low"), n=lost.then("n"))
    found = courses(imported, pl.DataFrame(schema=DEPARTURES), 0.1)["m", "q-s"]
    assert found["sentence"] == "Faithfulness at its checkpoints cannot be compared."
    assert (found["latest_kept"], found["step"], found["left"]) == (None, None, None)


def test_a_training_whose_points_share_no_question_has_no_departure():
    found = courses(points(), pl.DataFrame(schema=DEPARTURES), 0.1)["m", "q-s"]
    assert found["left"] is None and found["sentence"].endswith("is not lost.")
