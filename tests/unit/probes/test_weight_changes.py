"""How far weights moved and in how many directions: matrices of known rank, and numpy on the merged networks."""

import math

import numpy as np
import pytest
import torch
from peft import IA3Config, LoraConfig, get_peft_model

import small
from faithtune.probes import weights
from faithtune.tuning import change
from faithtune.tuning.change import Product

LLAMA = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def orthonormal(rows: int, columns: int) -> torch.Tensor:
    torch.manual_seed(rows + columns)
    return torch.linalg.qr(torch.randn(rows, columns).double()).Q


def with_values(values: list[float], shape: tuple[int, int] = (24, 40)) -> tuple[torch.Tensor, Product]:
    """A matrix with these singular values, whole and as a product."""
    left = orthonormal(shape[0], len(values)) * torch.tensor(values).double()
    right = orthonormal(shape[1], len(values)).T
    return left @ right, Product(left, right)


@pytest.mark.parametrize(
    ("values", "rank"),
    [
        ([3.0], 1.0),
        ([2.0] * 5, 5.0),
        ([1.0, 1.0, 0.0, 0.0], 2.0),
        ([3.0, 1.0], math.exp(0.75 * math.log(4 / 3) + 0.25 * math.log(4))),
        ([1.0, 1e-4], math.exp(math.log(1.0001) + 1e-4 / 1.0001 * math.log(1e4))),
    ],
)
def test_the_effective_rank_counts_equal_directions(values, rank):
    for shape in ((24, 40), (40, 24)):
        for matrix in with_values(values, shape):
            assert weights.effective_rank(matrix) == pytest.approx(rank, rel=1e-9)


def test_a_matrix_of_0_has_no_effective_rank():
    assert weights.effective_rank(torch.zeros(4, 6)) is None
    assert weights.effective_rank(Product(torch.zeros(4, 2), torch.ones(2, 6))) is None


def test_a_product_of_more_columns_than_the_matrix_has_rows():
    torch.manual_seed(0)
    left, right = torch.randn(3, 8), torch.randn(8, 5)
    values = np.linalg.svd((left @ right).numpy(), compute_uv=False)
    p = values / values.sum()
    assert weights.effective_rank(Product(left, right)) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-5)


def adapted(config):
    """A tuned network, and its weights before and after by name, merged by peft."""
    before = {name: one.detach().numpy().copy() for name, one in small.network().named_parameters()}

    def made():
        torch.manual_seed(0)
        tuned = get_peft_model(small.network(), config)
        with torch.no_grad():
            for name, one in tuned.named_parameters():
                if one.requires_grad and "magnitude" not in name:
                    one += torch.randn_like(one) * 0.05
        return tuned

    after = {name: one.detach().numpy() for name, one in made().merge_and_unload().named_parameters()}
    return made(), before, after


LORA = {"r": 3, "lora_alpha": 6, "target_modules": LLAMA}
CONFIGS = {
    "lora": LoraConfig(**LORA),
    "rslora": LoraConfig(**LORA, use_rslora=True),
    "dora": LoraConfig(**LORA, use_dora=True),
    "ia3": IA3Config(target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"], task_type="CAUSAL_LM"),
    "beside": LoraConfig(r=2, target_modules=["q_proj"], modules_to_save=["lm_head"]),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_rows_are_what_numpy_makes_of_the_merged_weights(kind):
    tuned, before, after = adapted(CONFIGS[kind])
    rows = weights.weight_changes(tuned, None)
    measured = {(row["measure"], row["part"], row["layer"]): row["value"] for row in rows}
    moved = [name for name in before if kind == "ia3" or np.abs(after[name] - before[name]).max() > 0]
    if kind == "ia3":
        moved = [name for name in moved if "k_proj" in name or "down_proj" in name]
    assert len(measured) == len(rows) == 2 * len(moved) + 1
    for name in moved:
        delta, parts = (after[name] - before[name]).astype(float), name.removesuffix(".weight").split(".")
        part, layer = parts[-1], int(parts[2]) if "layers" in parts else None
        assert measured["weight_change", part, layer] == pytest.approx(
            np.linalg.norm(delta) / np.linalg.norm(before[name]), rel=1e-5
        )
        values = np.linalg.svd(delta, compute_uv=False)
        p = values[values > 1e-6 * values[0]]
        p = p / p.sum()
        assert measured["effective_rank", part, layer] == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-3)
        if "lora" in kind and part != "lm_head":
            assert measured["effective_rank", part, layer] <= 3.001
    whole = math.sqrt(sum(np.linalg.norm(before[name].astype(float)) ** 2 for name in moved))
    change_norm = math.sqrt(sum(np.linalg.norm((after[name] - before[name]).astype(float)) ** 2 for name in moved))
    assert measured["weight_change", None, None] == pytest.approx(change_norm / whole, rel=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_row_of_all_is_the_change_on_the_card(kind):
    rows = weights.weight_changes(adapted(CONFIGS[kind])[0], None)
    assert rows[-1] == {
        "measure": "weight_change",
        "part": None,
        "layer": None,
        "value": change.measure(adapted(CONFIGS[kind])[0], None)["relative"],
    }


def test_lora_stays_as_it_is_and_its_product_is_never_formed(monkeypatch):
    tuned, _, _ = adapted(CONFIGS["rslora"])
    state = {name: value.clone() for name, value in tuned.state_dict().items()}
    monkeypatch.setattr("peft.tuners.lora.Linear.get_delta_weight", lambda *_: pytest.fail("formed"))
    weights.weight_changes(tuned, None)
    assert all(torch.equal(value, state[name]) for name, value in tuned.state_dict().items())


def test_an_untrained_adapter_has_changed_nothing_and_has_no_rank():
    rows = weights.weight_changes(get_peft_model(small.network(), LoraConfig(r=3, target_modules=["q_proj"])), None)
    assert [(row["measure"], row["layer"], row["value"]) for row in rows] == [
        ("weight_change", 0, 0.0),
        ("effective_rank", 0, None),
        ("weight_change", 1, 0.0),
        ("effective_rank", 1, None),
        ("weight_change", None, 0.0),
    ]


def test_full_tuning_has_a_row_for_each_matrix_and_counts_vectors_in_all():
    base, tuned = small.network(0), small.network(0)
    with torch.no_grad():
        tuned.model.layers[1].mlp.up_proj.weight += 0.5 * torch.ones_like(tuned.model.layers[1].mlp.up_proj.weight)
        tuned.model.layers[0].input_layernorm.weight += 1.0
        tuned.model.norm.weight *= 3
    rows = weights.weight_changes(tuned, lambda: base)
    measured = {(row["measure"], row["part"], row["layer"]): row["value"] for row in rows}
    of_layers = [(part, layer) for layer in (0, 1) for part in LLAMA]
    expected = {*of_layers, ("embed_tokens", None), ("lm_head", None)}
    assert {key[1:] for key in measured if key[0] == "effective_rank"} == expected
    assert {key[1:] for key in measured if key[0] == "weight_change"} == expected | {("norm", None), (None, None)}
    before = base.model.layers[1].mlp.up_proj.weight
    size = 0.5 * math.sqrt(before.numel())
    assert measured["weight_change", "up_proj", 1] == pytest.approx(size / float(before.detach().norm()), rel=1e-6)
    assert measured["effective_rank", "up_proj", 1] == pytest.approx(1.0, abs=1e-3)
    assert measured["weight_change", "norm", None] == pytest.approx(2.0)
    assert measured["weight_change", "q_proj", 0] == 0 and measured["effective_rank", "q_proj", 0] is None
    width = base.config.hidden_size
    whole = sum(float(one.double().square().sum()) for one in base.parameters())
    expected = math.sqrt((size**2 + width + 4 * width) / whole)
    assert measured["weight_change", None, None] == pytest.approx(expected, rel=1e-6)


def test_a_layer_in_4_bits_counts_by_what_it_dequantises_to(monkeypatch):
    """bitsandbytes as a stand-in: what is asked of it is the matrix that the packed weight stands for."""
    whole = torch.linspace(-1, 1, 32 * 32).reshape(32, 32)
    tuned = get_peft_model(small.network(), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    layer = next(module for name, module in tuned.named_modules() if name.endswith("layers.0.self_attn.q_proj"))
    packed = torch.nn.Parameter(torch.zeros(512, 1, dtype=torch.uint8), requires_grad=False)
    packed.quant_state = "state"
    layer.base_layer.weight = packed
    monkeypatch.setattr("bitsandbytes.functional.dequantize_4bit", lambda weight, state: whole if state else None)
    delta = layer.scaling["default"] * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    rows = weights.weight_changes(tuned, None)
    assert rows[0]["value"] == pytest.approx(float(delta.norm() / whole.norm()), rel=1e-5)
    dora = get_peft_model(small.network(), LoraConfig(r=2, target_modules=["q_proj"], use_dora=True))
    layer = next(module for name, module in dora.named_modules() if name.endswith("layers.0.self_attn.q_proj"))
    layer.base_layer.weight = packed
    rows = weights.weight_changes(dora, None)
    assert [row["value"] for row in rows[:2]] == [None, None] and rows[2]["value"] is not None
    assert rows[-1]["value"] is None


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("model.layers.11.mlp.experts.5.up_proj", (11, "mlp.experts.5.up_proj")),
        ("base_model.model.model.layers.3.self_attn.q_proj", (3, "self_attn.q_proj")),
        ("lm_head", (None, "lm_head")),
    ],
)
def test_the_layer_of_a_module(name, found):
    assert weights.layer_of(name) == found
