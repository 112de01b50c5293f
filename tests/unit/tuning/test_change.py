"""How far a training moved the weights, against what numpy makes of the same matrices."""

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model

import small
from faithtune.tuning import change


def norms(before: dict, after: dict) -> dict:
    moved = np.concatenate([(after[name] - before[name]).ravel() for name in before])
    whole = np.concatenate([before[name].ravel() for name in before])
    return {"norm": np.linalg.norm(moved), "relative": np.linalg.norm(moved) / np.linalg.norm(whole)}


@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_moves_the_layers_that_it_adapts(dora):
    base = small.network()
    torch.manual_seed(0)
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["q_proj"], init_lora_weights=False, use_dora=dora)
    before = {name: weight.detach().numpy().copy() for name, weight in base.named_parameters() if "q_proj" in name}
    tuned = get_peft_model(base, config)
    merged = get_peft_model(small.network(), config)
    merged.load_state_dict(tuned.state_dict())
    after = {name: weight.detach().numpy() for name, weight in merged.merge_and_unload().named_parameters()}
    assert change.measure(tuned, None) == pytest.approx(norms(before, after), rel=1e-5)


def test_a_change_that_16_bits_would_round_away_counts():
    config = LoraConfig(r=3, lora_alpha=3, target_modules=["q_proj"], init_lora_weights=False)
    base = small.network().to(torch.bfloat16)
    torch.manual_seed(0)
    tuned = get_peft_model(base, config, autocast_adapter_dtype=True)
    layers = [module for module in tuned.modules() if hasattr(module, "lora_A")]
    with torch.no_grad():
        for layer in layers:
            layer.lora_B["default"].weight *= 1e-3
    deltas = [(layer.lora_B["default"].weight @ layer.lora_A["default"].weight).detach().double() for layer in layers]
    expected = sum(float(delta.square().sum()) for delta in deltas) ** 0.5
    assert change.measure(tuned, None)["norm"] == pytest.approx(expected, rel=1e-3)


def test_full_tuning_moves_all_weights():
    base, tuned = small.network(0), small.network(1)
    before, after = (
        {name: weight.detach().numpy() for name, weight in network.named_parameters()} for network in (base, tuned)
    )
    assert change.measure(tuned, lambda: base) == pytest.approx(norms(before, after), rel=1e-5)


def test_an_untrained_adapter_has_moved_nothing():
    tuned = get_peft_model(small.network(), LoraConfig(r=3, target_modules=["q_proj"]))
    assert change.measure(tuned, None) == {"norm": 0, "relative": 0}
