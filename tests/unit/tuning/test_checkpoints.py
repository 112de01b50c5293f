"""Checkpoints: damaged ones are passed over, and a killed training goes on from the newest whole one."""

import shutil
from types import SimpleNamespace

import polars as pl
import pytest

from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.settings.tunings import METHODS
from faithtune.tuning import checkpoints
from faithtune.tuning import train as tune
from trainings import SETTINGS, card, of_method, trained


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(24, seed=5), "sums", "train")


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("adapter_model.safetensors", True),
        ("adapter_model.safetensors", False),
        ("optimizer.pt", False),
        ("trainer_state.json", False),
        ("sha256", True),
    ],
)
def test_a_damaged_checkpoint_is_named_and_passed_over(sums, tiny_model, templates, tmp_path, capsys, name, cut):
    _, _, folder = trained(card(tiny_model), tmp_path, SETTINGS, sums, templates)
    assert checkpoints.last_checkpoint(folder) == folder / "checkpoint-6"
    saved = folder / "checkpoint-6" / name
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content[:-50] if cut else content)
    capsys.readouterr()
    assert checkpoints.last_checkpoint(folder) == folder / "checkpoint-4"
    assert not (folder / "checkpoint-6").exists()
    assert f"warning: {folder}/checkpoint-6: incomplete or damaged" in capsys.readouterr().err
    assert checkpoints.last_checkpoint(folder / "nosuch") is None


def test_a_training_goes_on_from_its_newest_whole_checkpoint(tmp_path, capsys):
    """Checkpoint 10 has no hash, as if interrupted; 8 has a changed byte; 6 is newer than 4."""
    for step in (4, 6, 8, 10):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "adapter_model.safetensors").write_bytes(bytes([step]) * 9)
        if step < 10:
            about = SimpleNamespace(output_dir=str(tmp_path)), SimpleNamespace(global_step=step)
            checkpoints.HashedCheckpoints().on_save(*about, control=None)
    assert checkpoints.last_checkpoint(tmp_path).name == "checkpoint-8"
    (tmp_path / "checkpoint-8/adapter_model.safetensors").write_bytes(bytes([8]) * 8 + b"9")
    assert checkpoints.last_checkpoint(tmp_path).name == "checkpoint-6"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-4", "checkpoint-6"]
    assert capsys.readouterr().err.count("incomplete or damaged") == 2


class Killed(Exception):
    pass


def killed_after(monkeypatch, step):
    """End the training like a kill, after `step` and its checkpoint."""
    original = checkpoints.HashedCheckpoints.on_save

    def save(self, args, state, control, **named):
        original(self, args, state, control, **named)
        if state.global_step == step:
            raise Killed

    monkeypatch.setattr(checkpoints.HashedCheckpoints, "on_save", save)


@pytest.fixture
def train(sums, tiny_model, templates, tmp_path):
    """A function that trains with a method, with the checkpoints of all its trainings in one folder."""
    model = card(tiny_model)

    def run(method: str, name: str, **more):
        rows = tune.method(method).prepare(model, sums, templates, of_method(method))
        return tune.train(model, of_method(method, **more), rows, tmp_path / "checkpoints", tmp_path / name, "cpu")

    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_killed_training_goes_on_as_if_nothing_had_been(train, monkeypatch, method):
    undisturbed, log, folder = train(method, "undisturbed")
    shutil.rmtree(folder)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 4)
        train(method, "killed")
    cut_short = folder / "checkpoint-6"
    cut_short.mkdir()  # a checkpoint without its state, as a crash leaves it
    (cut_short / "adapter_model.safetensors").write_bytes(b"half")

    seen = []
    original = checkpoints.last_checkpoint
    monkeypatch.setattr(checkpoints, "last_checkpoint", lambda path: seen.append(original(path)) or seen[-1])
    resumed, log_resumed, _ = train(method, "resumed")
    assert seen == [folder / "checkpoint-4"]
    assert resumed["weights_sha256"] == undisturbed["weights_sha256"]
    assert log_resumed.equals(log)


def test_a_training_with_other_settings_starts_afresh(train, tmp_path, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, 4)
        train("sft", "killed")
    [folder] = (tmp_path / "checkpoints").iterdir()
    for more in ({"learning_rate": 0.002}, {"code": "changed"}):
        _, log, elsewhere = train("sft", "other", **more)
        assert log["step"].to_list() == [1, 2, 3, 4, 5, 6]
        assert elsewhere != folder
    assert folder.is_dir()
