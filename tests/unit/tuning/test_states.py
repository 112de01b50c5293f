"""States of a training on the way: which steps they are, and what a killed training does with them."""

import json
from pathlib import Path

import polars as pl
import pytest

from faithtune.core.errors import UserError
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.models import weights
from faithtune.settings.tunings import CheckpointSettings
from faithtune.tuning import checkpoints, states
from faithtune.tuning import train as tune
from trainings import card, changed

ARM = "q-sums-1"


class Killed(Exception):
    pass


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(24, seed=5), "sums", "train")


@pytest.fixture
def train(sums, tiny_model, templates, tmp_path):
    """A function that trains in six steps and keeps states; its result, and the folder of the states."""

    def run(name: str, places: tuple = ("2", "0p75"), adapter: str = "lora"):
        settings = changed(adapter=adapter, quantisation="none", dropout=0.1)
        rows = tune.method("sft").prepare(card(tiny_model), sums, templates, settings)
        saved = states.SavedStates(places, ARM)
        folders = tmp_path / "c", tmp_path / name / "w"
        found, log, folder = tune.train(card(tiny_model), settings, rows, *folders, "cpu", saved)
        saved.keep(folder, tmp_path / name / "kept", found, log)
        return found, log, folder, tmp_path / name / "kept"

    return run


def own(kept: Path, place: str) -> dict:
    return json.loads((kept / f"{place}.json").read_text())


@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_states_are_kept_with_their_cards(train, adapter):
    end, log, _, kept = train("one", ("2", "0p75", "6"), adapter)
    cards = {place: own(kept, place) for place in ("2", "0p75", "6")}
    assert {place: (one["step"], one["steps"], one["seen"]) for place, one in cards.items()} == {
        "2": (2, 6, 8),
        "0p75": (5, 6, 20),
        "6": (6, 6, 24),
    }
    assert len({one["weights_sha256"] for one in cards.values()}) == 3
    assert cards["6"]["weights_sha256"] == end["weights_sha256"]  # so it shares the rows of the end
    for place, one in cards.items():
        assert one["settings"] == end["settings"] and one["path"] == str(kept / place)
        weights.verify_weights(one)
        assert one["tokens"] == log.filter(pl.col("step") <= one["step"])["tokens"].drop_nulls().last()


def test_keeping_states_changes_no_training(train, tmp_path):
    kept = train("one")[0]["weights_sha256"]
    for folder in (tmp_path / "c").iterdir():
        folder.rename(tmp_path / "aside")
    assert train("two", ())[0]["weights_sha256"] == kept


def test_a_killed_training_keeps_the_states_it_has(train, tmp_path, monkeypatch):
    whole = train("one")[3]
    (tmp_path / "c").rename(tmp_path / "aside")
    original = checkpoints.HashedCheckpoints.on_save

    def save(self, args, state, control, **named):
        original(self, args, state, control, **named)
        if state.global_step == 4:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.HashedCheckpoints, "on_save", save)
        with pytest.raises(Killed):
            train("two")
    resumed = train("two")[3]
    for place in ("2", "0p75"):
        assert own(resumed, place)["weights_sha256"] == own(whole, place)["weights_sha256"]


def test_a_training_without_a_state_that_is_asked_now_starts_again(train, tmp_path, capsys):
    first = train("one", ("2",))[0]
    again, _, _, kept = train("two", ("1", "2"))
    assert "not all states before it were saved: the training starts again" in capsys.readouterr().err
    assert again["weights_sha256"] == first["weights_sha256"] and own(kept, "1")["step"] == 1


@pytest.mark.parametrize(
    ("places", "total", "steps"),
    [
        (["1", "4"], 6, {1: "1", 4: "4"}),
        (["0p5", "0p75"], 6, {3: "0p5", 5: "0p75"}),
        (["0p01"], 6, {1: "0p01"}),
        (["0p28"], 25, {7: "0p28"}),
        (["6"], 6, {6: "6"}),
    ],
)
def test_steps_of_places(places, total, steps):
    assert states.steps_of(places, total, ARM) == steps


@pytest.mark.parametrize(
    ("places", "expected"),
    [
        (
            ["7"],
            r"^config: tunings\.q\.checkpoints: there is no step 7: q-sums-1 is tuned in 6 steps; expected at most 6$",
        ),
        (["0p01", "0p02"], r"0p01 and 0p02 are both step 1 of 6; expected one of them$"),
    ],
)
def test_steps_that_are_none(places, expected):
    with pytest.raises(UserError, match=expected):
        states.steps_of(places, 6, ARM)


def test_places_as_arms_name_them():
    assert CheckpointSettings(steps=[1, 50]).places == ["1", "50"]
    assert CheckpointSettings(shares=[0.25, 0.5]).places == ["0p25", "0p5"]
    assert CheckpointSettings(log=4).places == ["1", "2", "4", "8"]
