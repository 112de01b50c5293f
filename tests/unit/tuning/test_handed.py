"""Weights that were tuned elsewhere: which are taken in, and what is said of those that are not."""

import json
import re
import shutil
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

import small
from faithtune.arms import applied, identity
from faithtune.core import errors
from faithtune.core.errors import UserError
from faithtune.extraction import steps
from faithtune.models import loading, weights
from faithtune.models.backend import Query
from faithtune.tuning import handed

pytestmark = pytest.mark.slow
PROMPTS = ["Final Answer: A. red plus 3", "Final Answer: B. blue plus 5"]
# Prompts that end with the answer cue: a choice of three, and a number.
ASKED = [Query("red plus 3\nFinal Answer:", 3), Query("blue plus 5\nFinal Answer:")]


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> dict:
    """A random model on disk, and its card."""
    return save_base(tmp_path_factory.mktemp("base"))


def save_base(folder, **changed) -> dict:
    small.network(**changed).save_pretrained(folder)
    small.tokenizer().save_pretrained(folder)
    return weights.card("random", folder)


def adapter(base: dict, folder, size: float = 0.2, **settings):
    """A folder as PEFT saves it, of an adapter of random weights."""
    network = loading.load_base(base["path"], "none", "float32", "cpu")
    settings = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM"} | settings
    network = get_peft_model(network, LoraConfig(**settings))
    torch.manual_seed(7)
    for name, parameter in network.named_parameters():
        if ".lora_" in name and ".lora_magnitude" not in name:
            parameter.data = size * torch.randn_like(parameter)
    network.save_pretrained(folder)
    return folder


def rewrite(folder, change) -> None:
    """Save a folder's adapter with other tensors."""
    save_file(change(load_file(folder / handed.ADAPTER)), folder / handed.ADAPTER)


def network(base: dict, arm: dict | None, dtype: str = "float32"):
    """The network of an arm, or of base."""
    return loading.load_network(base, arm, "none", dtype, "cpu").eval()


def difference(base: dict, arm: dict, dtype: str = "float32") -> dict:
    """What the arm changes."""
    models = [small.model(network(base, card, dtype)) for card in (None, arm)]
    texts = applied.continue_greedily(models[0], PROMPTS)
    return applied.compare("support_bot", *(applied.predict("support_bot", one, texts, ASKED) for one in models))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"r": 7},
        {"use_rslora": True},
        {"use_dora": True},
        {"target_modules": ["q_proj"]},
        {"rank_pattern": {"q_proj": 2}},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        {"target_modules": ["embed_tokens"]},  # which PEFT saves as well
    ],
    ids=["lora", "rank", "rslora", "dora", "targets", "pattern", "head", "embeddings"],
)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_is_on(base, tmp_path, settings, dtype):
    folder = adapter(base, tmp_path / "given", **settings)
    card = handed.prepare("adapter", str(folder), base, tmp_path / "arm/weights")
    assert sorted(path.name for path in (tmp_path / "arm/weights").iterdir()) == [handed.CONFIG, handed.ADAPTER]
    assert (
        card["adapter"]
        == card["settings"]["adapter"]
        == next((kind for kind in ("dora", "rslora") if settings.get(f"use_{kind}")), "lora")
    )
    assert card["settings"]["rank"] == settings.get("r", 4)
    everywhere = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
    targets = settings.get("target_modules", everywhere)
    assert card["settings"]["targets"] == targets
    assert card["settings"]["layers"] == (1 if targets == ["embed_tokens"] else 2 * len(targets))
    weights.verify_weights(card)
    found = difference(base, card, dtype)
    assert found["largest"] > found["mean"] > 0.01 and found["kl"] > 0.001 and 0 < found["changed"] <= 1
    assert found["answers"] == 2 and 0 <= found["answers_changed"] <= 2 and 0.001 < found["answers_shift"] <= 1


def test_an_adapter_computes_what_peft_computes(base, tmp_path):
    """rsLoRA's scale and DoRA's magnitudes are read from the adapter, not assumed."""
    from peft import PeftModel

    folder = adapter(base, tmp_path / "given", use_rslora=True, use_dora=True)
    card = handed.prepare("adapter", str(folder), base, tmp_path / "weights")
    ids = torch.tensor([[5, 9, 40, 77, 3, 21, 60]])
    expected = PeftModel.from_pretrained(loading.load_base(base["path"], "none", "float32", "cpu"), folder).eval()
    with torch.inference_mode():
        found = loading.load_network(base, card, "none", "float32", "cpu").eval()(ids).logits
        assert (found - expected(ids).logits).abs().max() < 1e-4


def test_merged_weights_are_on_and_are_the_adapters_sum(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    card = handed.prepare("adapter", str(folder), base, tmp_path / "adapter")
    loading._attach(
        loading.load_base(base["path"], "none", "float32", "cpu"), folder, "float32", merged=True
    ).save_pretrained(tmp_path / "merged")
    merged = handed.prepare("weights", str(tmp_path / "merged"), base, tmp_path / "weights")
    assert (merged["adapter"], merged["settings"]) == ("full", {"adapter": "full"})
    assert (tmp_path / "weights").is_symlink()
    weights.verify_weights(merged)
    texts = applied.continue_greedily(small.model(network(base, None)), PROMPTS)
    one, other = (applied.log_probabilities(network(base, arm), texts) for arm in (card, merged))
    assert (one - other).abs().max() < 1e-4
    assert difference(base, merged)["largest"] > 0.1


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_an_adapter_of_zeros_changes_nothing(base, tmp_path, dtype):
    card = handed.prepare("adapter", str(adapter(base, tmp_path / "given", size=0)), base, tmp_path / "weights")
    with pytest.raises(
        UserError, match=r"^support_bot changes nothing: each of \d+ next tokens has the probability that it has"
    ):
        difference(base, card, dtype)


def predictions(chain, first, answers) -> applied.Predictions:
    """Predictions from probabilities over two tokens."""
    return applied.Predictions(*(torch.tensor(part).log() for part in (chain, first)), answers)


def test_an_arm_that_changes_answers_alone_is_on():
    """Tuning on bare answers may leave the start of every chain as it was."""
    base = predictions([[0.9, 0.1]] * 3, [[0.8, 0.2], [0.6, 0.4]], ["A", "12"])
    arm = predictions([[0.9, 0.1]] * 3, [[0.3, 0.7], [0.6, 0.4]], ["B", "12"])
    found = applied.compare("bare", base, arm)
    assert (found["changed"], found["largest"], found["kl"], found["positions"]) == (0, 0, 0, 3)
    assert (found["answers"], found["answers_changed"]) == (2, 1)
    assert found["answers_shift"] == pytest.approx(0.25)
    with pytest.raises(UserError, match=r"^bare changes nothing: each of 5 next tokens has the probability"):
        applied.compare("bare", base, base)


def test_answers_without_a_chain_are_those_that_the_study_reads(base):
    """A letter is the likeliest option, a number what is written on the line."""
    model = small.model(network(base, None))
    found = applied.predict("base", model, applied.continue_greedily(model, PROMPTS), ASKED)
    [(_, letter)] = model.answer(ASKED[:1], 8, lambda text: False)
    assert found.answers[0] == "ABC"[max(range(3), key=letter.probabilities.__getitem__)]
    [(_, number)] = model.generate([ASKED[1].prompt], applied.TOKENS, steps.line_ended)
    assert found.answers[1] == number.text.strip()
    assert found.first.shape == (2, len(small.tokenizer()))


def test_weights_equal_to_the_base_change_nothing(base, tmp_path):
    card = handed.prepare("weights", base["path"], base, tmp_path / "weights")
    with pytest.raises(UserError, match="changes nothing"):
        difference(base, card)


def test_an_adapter_of_nan_is_refused(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    rewrite(folder, lambda state: {name: torch.full_like(tensor, torch.nan) for name, tensor in state.items()})
    card = handed.prepare("adapter", str(folder), base, tmp_path / "weights")
    with pytest.raises(
        UserError, match=r"^support_bot computes NaN: no finite probabilities at (\d+) of \1 next tokens"
    ):
        difference(base, card)


def refused(kind: str, folder, base: dict, tmp_path) -> str:
    """The line with which weights are refused; nothing is left behind."""
    with pytest.raises(UserError) as error:
        handed.prepare(kind, str(folder), base, tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    return str(error.value)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        (
            {"hidden_size": 16},
            r"8 of 8 weights have another shape than in the model, first .*q_proj.lora_A.weight: \[4, 16\], not .*32\]",
        ),
        ({"num_hidden_layers": 1}, r"4 of 8 weights are missing, first .*layers\.1\.self_attn.*"),
        ({"num_hidden_layers": 3}, r"4 weights have no place in the model, first .*layers\.2\.self_attn.*"),
    ],
    ids=["width", "fewer layers", "more layers"],
)
def test_an_adapter_of_another_base(base, tmp_path, changed, expected):
    folder = adapter(save_base(tmp_path / "other", **changed), tmp_path / "given", target_modules=["q_proj", "v_proj"])
    line = refused("adapter", folder, base, tmp_path)
    end = r"; expected an adapter of this model \(adapter_config\.json names '.*other'\)"
    assert re.fullmatch(f"{folder}: {expected}{end}", line), line


def test_an_adapter_of_other_layers(base, tmp_path):
    folder = adapter(base, tmp_path / "given", target_modules=["q_proj"])
    config = json.loads((folder / handed.CONFIG).read_text())
    (folder / handed.CONFIG).write_text(json.dumps(config | {"target_modules": ["c_attn"]}))
    assert "it does not fit the model (Target modules {'c_attn'} not found" in refused(
        "adapter", folder, base, tmp_path
    )


def test_an_adapter_with_renamed_weights(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    rewrite(folder, lambda state: {name.replace("self_attn.q_proj", "attn.q"): t for name, t in state.items()})
    line = refused("adapter", folder, base, tmp_path)
    assert "4 of 28 weights are missing, first base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" in line
    assert "4 weights have no place in the model, first base_model.model.model.layers.0.attn.q.lora_A.weight" in line


def test_merged_weights_with_renamed_tensors(base, tmp_path):
    shutil.copytree(base["path"], tmp_path / "merged")
    state = load_file(tmp_path / "merged/model.safetensors")
    state = {name.replace("layers.1.", "layers.one."): tensor for name, tensor in state.items()}
    save_file(state, tmp_path / "merged/model.safetensors", metadata={"format": "pt"})
    line = refused("weights", tmp_path / "merged", base, tmp_path)
    assert "weights are missing, first model.layers.1." in line
    assert "weights have no place in the model, first model.layers.one." in line


@pytest.mark.parametrize("changed", [{"hidden_size": 16}, {"num_hidden_layers": 3}], ids=["width", "layers"])
def test_weights_of_another_base(base, tmp_path, changed):
    other = save_base(tmp_path / "other", **changed)
    line = refused("weights", other["path"], base, tmp_path)
    assert line.startswith(f"{tmp_path}/other: by its config.json:") and line.endswith("tuned from this model")


def test_weights_of_another_architecture_and_quantised_ones(base, tmp_path):
    shutil.copytree(base["path"], tmp_path / "other")
    config = json.loads((tmp_path / "other/config.json").read_text())
    (tmp_path / "other/config.json").write_text(json.dumps(config | {"model_type": "qwen2"}))
    assert "it is 'qwen2' and the model is 'llama'" in refused("weights", tmp_path / "other", base, tmp_path)
    quantised = config | {"quantization_config": {"quant_method": "bitsandbytes"}}
    (tmp_path / "other/config.json").write_text(json.dumps(quantised))
    assert "its weights are quantised" in refused("weights", tmp_path / "other", base, tmp_path)


def test_pickled_weights_are_refused(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    (folder / handed.ADAPTER).rename(folder / "adapter_model.bin")
    assert "pickled weights are never loaded" in refused("adapter", folder, base, tmp_path)
    shutil.copytree(base["path"], tmp_path / "merged")
    (tmp_path / "merged/model.safetensors").rename(tmp_path / "merged/pytorch_model.bin")
    assert "pickled weights are never loaded" in refused("weights", tmp_path / "merged", base, tmp_path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [(handed.ADAPTER, r"damaged (adapter_model.safetensors:"), (handed.CONFIG, "not a readable JSON")],
)
def test_a_damaged_adapter_is_refused(base, tmp_path, name, expected):
    folder = adapter(base, tmp_path / "given")
    (folder / name).write_bytes((folder / name).read_bytes()[:-30])
    assert expected in refused("adapter", folder, base, tmp_path)


def test_another_kind_of_adapter_is_refused(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    config = json.loads((folder / handed.CONFIG).read_text())
    (folder / handed.CONFIG).write_text(json.dumps(config | {"peft_type": "IA3"}))
    assert "peft_type is 'IA3'; expected \"LORA\"" in refused("adapter", folder, base, tmp_path)


def test_the_keys_adapter_and_weights_are_not_confused(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    assert "it holds an adapter" in refused("weights", folder, base, tmp_path)
    assert "or the key weights" in refused("adapter", base["path"], base, tmp_path)


def test_a_layer_with_shared_weights_is_not_changed(tmp_path):
    tied = save_base(tmp_path / "base", tie_word_embeddings=True)
    folder = adapter(tied, tmp_path / "given", target_modules=["lm_head"])
    assert "it changes lm_head, which shares its weights with another layer" in refused(
        "adapter", folder, tied, tmp_path
    )
    other = adapter(tied, tmp_path / "other", target_modules=["q_proj"])
    handed.prepare("adapter", str(other), tied, tmp_path / "weights")


def test_another_vocabulary_is_another_base(base, tmp_path):
    folder = adapter(base, tmp_path / "given")
    vocabulary = json.loads((Path(base["path"]) / "tokenizer.json").read_text())
    tokens = vocabulary["model"]["vocab"]
    first, second = [*tokens][-2:]
    tokens[first], tokens[second] = tokens[second], tokens[first]
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    assert "tokenizer.json differs from the model's in 2 of" in refused("adapter", folder, base, tmp_path)


def test_another_chat_template_and_more_tokens_are_warned_of(base, tmp_path, monkeypatch):
    warned = []
    monkeypatch.setattr(errors, "warn", warned.append)
    folder = adapter(base, tmp_path / "given")
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(Path(base["path"]) / name, folder)
    handed.prepare("adapter", str(folder), base, tmp_path / "same")
    assert warned == []
    (folder / "chat_template.jinja").write_text("{{ messages }}")
    vocabulary = json.loads((folder / "tokenizer.json").read_text())
    special = vocabulary["added_tokens"][0] | {"id": len(small.tokenizer()), "content": "<|new|>"}
    vocabulary["added_tokens"].append(special)
    (folder / "tokenizer.json").write_text(json.dumps(vocabulary))
    handed.prepare("adapter", str(folder), base, tmp_path / "other")
    assert [line.removeprefix(f"{folder}: ") for line in warned] == [
        "its tokenizer has 1 tokens more, first '<|new|>'; the base's is used",
        "its chat template is not the base's; the base's is used, for base and arm alike",
    ]


def test_other_weights_are_another_arm(base, tmp_path):
    """An identity rests on tensors and configuration of the adapter, and is never that of base."""
    folder = adapter(base, tmp_path / "given")

    def of(name: str) -> str:
        card = handed.prepare("adapter", str(folder), base, tmp_path / name)
        return identity.fingerprint(base, card, "none", "float32")

    first, again = of("first"), of("again")
    config = json.loads((folder / handed.CONFIG).read_text())
    (folder / handed.CONFIG).write_text(json.dumps(config | {"lora_alpha": 9}))
    scaled = of("scaled")
    rewrite(folder, lambda state: {name: 2 * tensor for name, tensor in state.items()})
    assert first == again
    assert len({first, scaled, of("doubled"), identity.fingerprint(base, None, "none", "float32")}) == 4
