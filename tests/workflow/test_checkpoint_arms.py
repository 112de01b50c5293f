"""A study that measures the checkpoints of a training: arms of their own, in curves and in no table."""

import json

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.probes import DIVERGENCE
from faithtune.measures.long_term.curves import CURVES, DEPARTURES
from study import Study

END = "qlora-arithmetic-42"


@pytest.fixture(scope="module")
def followed(tmp_path_factory, tiny_model) -> Study:
    """A training of three steps; the first and the last are measured as well, on three questions of one set."""
    study = Study(tmp_path_factory.mktemp("checkpoints"), tiny_model)
    study.config["tests"] = ["early_termination", "filler"]
    study.config["tunings"]["qlora"]["checkpoints"] = {"steps": [1, 3], "eval_sets": ["colours"], "n": 3}
    planned = study.planned()
    assert {rule: planned[rule] for rule in ("tune", "checkpoint", "first_questions", "divergence", "curves")} == {
        "tune": 1,
        "checkpoint": 2,
        "first_questions": 1,
        "divergence": 3,
        "curves": 1,
    }
    assert planned["chains"] == 2 * 2 + 2
    study.run()
    return study


def test_a_checkpoint_is_an_arm_of_its_own(followed):
    cards = [
        json.loads((followed.folder / f"results/arms/tiny/{arm}/arm.json").read_text())
        for arm in (f"{END}@1", f"{END}@3", END)
    ]
    assert [card.get("step", card["steps"]) for card in cards] == [1, 3, 3]
    first, last, end = (card["weights_sha256"] for card in cards)
    assert first != last == end
    chains = followed.folder / f"results/chains/tiny/{END}@1/colours.parquet"
    assert pl.read_parquet(chains).height == 3 and not (chains.parent / "arithmetic.parquet").exists()
    logs = followed.folder / "logs/chains/tiny"
    both = [(logs / arm / "colours.log").read_text() for arm in (f"{END}@3", END)]
    assert any("3 rows, 0 computed" in log or "5 rows, 2 computed" in log for log in both)  # the same arm asked again


def test_curves_hold_each_point_and_tables_none(followed):
    curves = parquet.read(followed.folder / "results/checkpoints/curves.parquet", CURVES)
    assert curves.select("arm", "place", "step", "seen").unique(maintain_order=True).rows() == [
        ("qlora-arithmetic", "1", 1, 4),
        ("qlora-arithmetic", "3", 3, 12),
        ("qlora-arithmetic", "end", 3, 12),
    ]
    assert set(curves.filter(subject="chains")["n"]) == {3}
    last = curves.filter(pl.col("place") != "1").select("place", "subject", "test", "estimate")
    sides = (last.filter(place=place).drop("place") for place in ("3", "end"))
    assert next(sides).equals(next(sides), null_equal=True)  # the last checkpoint is the end
    parquet.read(followed.folder / "results/checkpoints/departures.parquet", DEPARTURES)
    assert "qlora-arithmetic@1" in set(
        parquet.read(followed.folder / "results/checkpoints/estimates.parquet", ESTIMATES)["arm"]
    )
    for path in [followed.folder / "results/estimates.parquet", *(followed.folder / "results/tables").glob("*.csv")]:
        assert b"@1" not in path.read_bytes(), path


def test_the_distance_from_base_is_measured_on_its_chains(followed):
    """The first step has a learning rate of 0, so it moves nothing; the last checkpoint is the end, so it is as far."""
    results = followed.folder / "results"
    frames = [
        parquet.read(results / f"divergence/tiny/{arm}/colours.parquet", DIVERGENCE)
        for arm in (f"{END}@1", f"{END}@3", END)
    ]
    chains = parquet.read(results / "chains/tiny/base/colours.parquet", CHAINS)
    asked = frames[0].join(chains.select("id", written="n_tokens"), on="id")
    # The chain's own tokens, and maybe its end, which is no text.
    assert asked.height == 3 and (asked["written"] - asked["n_tokens"]).is_between(0, 1).all()
    first, last, end = (frame["kl"].mean() for frame in frames)
    assert 0 == first < last and frames[1].equals(frames[2])
    curves = parquet.read(results / "checkpoints/curves.parquet", CURVES)
    assert curves.select("place", "kl").unique(maintain_order=True).rows() == [
        ("1", pytest.approx(first)),
        ("3", pytest.approx(last)),
        ("end", pytest.approx(end)),
    ]


def test_the_verdict_and_the_figure_show_them(followed):
    verdict = json.loads((followed.folder / "results/verdict.json").read_text())
    (arm,) = verdict["arms"]
    assert arm["course"]["points"] == 3 and arm["course"]["sentence"] == arm["sentences"][-1]
    drawn = (followed.folder / "results/figures/checkpoints.svg").read_text()
    assert "examples seen" in drawn and "KL from base" in drawn


def test_a_change_of_the_checkpoints_reruns_what_it_is_about(followed):
    assert followed.planned() == {}
    saved = followed.config["tunings"]["qlora"]["checkpoints"]
    saved["n"] = 4
    planned = followed.planned()
    assert "tune" not in planned and planned["chains"] == 2 and planned["divergence"] == 3
    saved["n"] = 3


def test_a_step_beyond_the_end_is_one_line(followed, tmp_path):
    study = followed.copied(tmp_path)
    study.config["tunings"]["qlora"]["checkpoints"]["steps"] = [1, 4]
    done = study.snakemake("--cores", "2")
    assert done.returncode != 0
    assert (
        "config: tunings.qlora.checkpoints: there is no step 4: qlora-arithmetic-42 is tuned in 3 steps" in done.stdout
    )
