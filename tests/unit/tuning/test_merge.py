"""A tuned arm merged into a model: the same logits as base and adapter, the same bytes each time."""

import json

import pytest
import torch
from peft import LoraConfig, get_peft_model

import small
from faithtune.core.errors import UserError
from faithtune.models import loading, weights
from faithtune.tuning import merge

IDS = torch.tensor([[5, 9, 40, 77, 3, 21, 60]])


def base_card(folder, **changed) -> dict:
    """A random model on disk, and its card."""
    small.network(**changed).save_pretrained(folder)
    small.tokenizer().save_pretrained(folder)
    return weights.card("random", folder)


def arm_card(base: dict, folder, adapter: str, targets="all-linear", dtype: str = "float32") -> dict:
    """A tuned arm of random weights, saved as the trainer saves it: the adapter in float32."""
    network = loading.load_base(base["path"], "nf4" if adapter == "qlora" else "none", dtype, "cpu")
    torch.manual_seed(7)
    if adapter == "full":
        for parameter in network.parameters():
            parameter.data += 0.1 * torch.randn_like(parameter)
    else:
        network = get_peft_model(network, LoraConfig(r=4, lora_alpha=8, target_modules=targets, task_type="CAUSAL_LM"))
        for name, parameter in network.named_parameters():
            if ".lora_" in name:
                parameter.data = 0.2 * torch.randn_like(parameter, dtype=torch.float32)
    network.save_pretrained(folder)
    return {
        "adapter": adapter,
        "path": str(folder),
        "weights_sha256": weights.folder_fingerprint(folder, ("*.safetensors",)),
        "folder_sha256": weights.folder_fingerprint(folder),
    }


def logits(network) -> torch.Tensor:
    with torch.inference_mode():
        return network.eval()(IDS).logits


@pytest.mark.slow
@pytest.mark.parametrize("adapter", ["qlora", "lora", "full"])
def test_a_merged_model_has_the_logits_of_base_and_adapter(tmp_path, adapter):
    base = base_card(tmp_path / "base")
    arm = arm_card(base, tmp_path / "arm", adapter)
    quantisation = "nf4" if adapter == "qlora" else "none"
    card = merge.merge(base, arm, "m/t-s-1", quantisation, "float32", tmp_path / "merged")
    merged = logits(loading.load_base(card["path"], "none", "float32", "cpu"))
    expected = logits(loading.load_network(base, arm, quantisation, "float32", "cpu"))
    untuned = logits(loading.load_base(base["path"], quantisation, "float32", "cpu"))
    assert (merged - expected).abs().max() < 1e-4
    assert (expected - untuned).abs().max() > 0.1


@pytest.mark.slow
def test_a_merged_model_is_like_every_model_and_equal_each_time(tmp_path):
    base = base_card(tmp_path / "base") | {"lineage": [{"arm": "l/t-s-1", "weights_sha256": "0"}]}
    base["turns"] = {"system": "Be brief."}  # it was tuned to
    arm = arm_card(base, tmp_path / "arm", "qlora")
    first, second = (
        merge.merge(base, arm, "m/t-s-1", "nf4", "float32", tmp_path / name) for name in ("first", "second")
    )
    assert first["weights_sha256"] == second["weights_sha256"] != base["weights_sha256"]
    assert first["source"] == "arm:m/t-s-1"
    assert (first["parameters"], first["turns"]) == (base["parameters"], base["turns"])
    assert [part["arm"] for part in first["lineage"]] == ["l/t-s-1", "m/t-s-1"]
    weights.verify_weights(first)
    folder = tmp_path / "first"
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        assert (folder / name).read_bytes() == (tmp_path / "base" / name).read_bytes(), name
    config = json.loads((folder / "config.json").read_text())
    assert "quantization_config" not in config and config["dtype"] == "float32"
    assert not list(folder.glob("adapter*"))


@pytest.mark.slow
def test_the_sum_is_rounded_once(tmp_path):
    """In bfloat16 the sum of base and adapter is rounded, not the adapter before."""
    base = base_card(tmp_path / "base")
    arm = arm_card(base, tmp_path / "arm", "lora", dtype="bfloat16")
    card = merge.merge(base, arm, "m/t-s-1", "none", "bfloat16", tmp_path / "merged")
    merged = loading.load_base(card["path"], "none", "bfloat16", "cpu").state_dict()
    plain = loading.load_base(base["path"], "none", "bfloat16", "cpu").float()
    expected = loading._attach(plain, arm["path"], "float32", merged=True).state_dict()
    assert merged.keys() == expected.keys()
    assert all(torch.equal(merged[name], expected[name].to(torch.bfloat16)) for name in merged)


@pytest.mark.slow
def test_a_layer_with_shared_weights_is_not_merged(tmp_path):
    base = base_card(tmp_path / "base", tie_word_embeddings=True)
    arm = arm_card(base, tmp_path / "arm", "lora", targets=["lm_head"])
    with pytest.raises(UserError, match="it changes lm_head, which shares its weights with another layer"):
        merge.merge(base, arm, "m/t-s-1", "none", "float32", tmp_path / "merged")
    assert not (tmp_path / "merged").exists()
    tied = arm_card(base, tmp_path / "other", "lora", targets=["q_proj"])
    merge.merge(base, tied, "m/t-s-1", "none", "float32", tmp_path / "merged")


@pytest.mark.slow
def test_a_damaged_arm_is_not_merged(tmp_path):
    base = base_card(tmp_path / "base")
    arm = arm_card(base, tmp_path / "arm", "lora")
    with open(tmp_path / "arm/adapter_model.safetensors", "ab") as file:
        file.write(b"0")
    with pytest.raises(UserError, match="not what was hashed when it was made"):
        merge.merge(base, arm, "m/t-s-1", "none", "float32", tmp_path / "merged")
