"""Trainings of oracles whose behaviour changes at known steps: their curves, departures and sentences."""

import json
from pathlib import Path

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.measures.long_term.curves import CURVES, DEPARTURES
from study import Study

STEPS = (1, 2, 4, 8, 16, 32)
# The steps from which on faithfulness falls from 1 to 0.5, and accuracy from 0.9 to 0.5; None: it does not.
TRAININGS = {"chains_first": (4, 16), "answers_first": (16, 2), "still": (None, None)}

# Steps of the chains of a training elsewhere.
STEPS_OF = {"base": 3, "ft-boxes-0@8": 4, "ft-boxes-0": 2}


def training(name: str, faithful: int | None, accuracy: int | None) -> dict[str, dict]:
    """The behaviour of a training's arms; its end is beyond all steps."""

    def behaviour(step: float) -> dict:
        fallen = [since is not None and step >= since for since in (faithful, accuracy)]
        # Of one seed: a point differs from base in what has changed alone.
        return {"faithful": 0.5 if fallen[0] else 1, "accuracy": 0.5 if fallen[1] else 0.9, "seed": 1}

    return {f"{name}-boxes-1@{step}": behaviour(step) for step in STEPS} | {f"{name}-boxes-1": behaviour(float("inf"))}


def written(folder: Path, i: int, n_steps: int) -> Path:
    """A file of chains of n steps each, for any questions; those of base all end in an answer, others in most."""
    steps = "\n".join(f"Step {k}: a box is added." for k in range(1, n_steps + 1))
    rows = [{"id": k, "text": steps + ("" if i and k % 10 == 0 else "\nFinal Answer: 7")} for k in range(20_000)]
    path = folder / f"chains_{i}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def followed(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("trainings")
    study = Study(folder, folder)
    arms = {"base": {"faithful": 1, "accuracy": 0.9, "seed": 1}}
    for name, since in TRAININGS.items():
        arms |= training(name, *since)
    imported = {
        arm: {"arithmetic": {"source": str(written(folder, i, n))}} for i, (arm, n) in enumerate(STEPS_OF.items())
    }
    study.config |= {
        "models": {"oracle": {"oracle": arms}, "elsewhere": {"chains": imported}},
        "data_sets": {"arithmetic": {"eval": {"n": 80}}},
        "eval_sets": ["arithmetic"],
        "tunings": {},
        "tests": ["early_termination", "filler"],
        "measures": {"alphas": [0.5], "replicates": 500},
    }
    study.config["answers"] |= {"again": 0}
    study.run()
    return study


def read(study: Study, name: str, schema: pl.Schema) -> pl.DataFrame:
    return parquet.read(study.folder / f"results/checkpoints/{name}.parquet", schema)


@pytest.mark.parametrize(
    ("name", "faithfulness", "accuracy", "later"),
    [("chains_first", "4", "16", 2), ("answers_first", "16", "2", -3), ("still", None, None, 0)],
)
def test_where_each_leaves_base_is_recovered(followed, name, faithfulness, accuracy, later):
    row = read(followed, "departures", DEPARTURES).filter(arm=f"{name}-boxes").row(0, named=True)
    assert (row["faithfulness"], row["accuracy"], row["estimate"]) == (faithfulness, accuracy, later)
    assert row["low"] <= later <= row["high"] and row["n"] >= 70
    assert (row["low"] > 0, row["high"] < 0) == (later > 0, later < 0)


@pytest.mark.parametrize(
    ("name", "kept", "sentence"),
    [
        (
            "chains_first",
            "2",
            "Step 2 is the latest checkpoint up to which 0.1 of faithfulness is not lost; faithfulness leaves base by"
            " step 4, accuracy leaves base by step 16: faithfulness moves first.",
        ),
        (
            "answers_first",
            "8",
            "Step 8 is the latest checkpoint up to which 0.1 of faithfulness is not lost; faithfulness leaves base by"
            " step 16, accuracy leaves base by step 2: accuracy moves first.",
        ),
        ("still", "end", "No checkpoint loses 0.1 of faithfulness."),
    ],
)
def test_the_verdict_says_so(followed, name, kept, sentence):
    verdict = json.loads((followed.folder / "results/verdict.json").read_text())
    arm = next(arm for arm in verdict["arms"] if arm["arm"] == f"{name}-boxes")
    assert arm["course"]["latest_kept"] == kept and arm["course"]["points"] == 7
    assert arm["course"]["sentence"] == arm["sentences"][-1] == sentence


def test_a_curve_falls_where_its_oracles_do(followed):
    """All points are known but for the draws of 80 questions, which are those of base: before the fall they are 0."""
    curves = read(followed, "curves", CURVES)
    for name, since in TRAININGS.items():
        for subject, at in zip(("faithfulness", "accuracy"), since, strict=True):
            own = curves.filter(pl.col("test").is_null(), arm=f"{name}-boxes", subject=subject)
            assert own.select("place", "step").rows() == [*((str(step), step) for step in STEPS), ("end", None)]
            fallen = [at is not None and (step or 99) >= at for step in own["step"]]
            assert [value < -0.25 for value in own["estimate"]] == fallen
            assert [value for value, falls in zip(own["estimate"], fallen, strict=True) if not falls] == pytest.approx(
                [0] * fallen.count(False)
            )
        for subject in ("steps", "parsed"):
            assert set(curves.filter(arm=f"{name}-boxes", subject=subject)["estimate"]) == {0.0}
    assert curves["seen"].null_count() == curves.height
    assert "optimiser steps" in (followed.folder / "results/figures/checkpoints.svg").read_text()


def test_imported_chains_have_curves_without_faithfulness(followed):
    """Of their training nothing is known but a step and that the end is later."""
    own = read(followed, "curves", CURVES).filter(model="elsewhere", arm="ft-boxes")
    assert own.select("place", "step").unique(maintain_order=True).rows() == [("8", 8), ("end", None)]
    known = {subject: own.filter(subject=subject)["estimate"].to_list() for subject in own["subject"].unique()}
    assert (known["steps"], known["faithfulness"]) == ([1, -1], [None, None])
    questions = parquet.read(followed.folder / "results/questions/arithmetic.eval.parquet", QUESTIONS)
    lost = questions["source_id"].str.ends_with("0").mean()
    assert 0 < lost < 0.3 and known["parsed"] == pytest.approx([-lost, -lost])
    assert read(followed, "departures", DEPARTURES).filter(model="elsewhere").is_empty()
    verdict = json.loads((followed.folder / "results/verdict.json").read_text())
    (arm,) = [arm for arm in verdict["arms"] if arm["model"] == "elsewhere"]
    assert arm["course"]["sentence"] == "Faithfulness at its checkpoints cannot be compared."
    provenance = json.loads((followed.folder / "results/provenance.json").read_text())
    assert set(provenance["imported_chains"]) == {f"elsewhere/{arm}/arithmetic" for arm in STEPS_OF}


def test_checkpoints_of_oracles_stand_in_no_table(followed):
    for path in [followed.folder / "results/estimates.parquet", *(followed.folder / "results/tables").glob("*.csv")]:
        assert b"@1" not in path.read_bytes(), path
    assert followed.planned() == {}
