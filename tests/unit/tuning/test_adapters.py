"""What a training changes: each adapter trains, and its arm is loaded as it was trained."""

from types import SimpleNamespace

import polars as pl
import pytest
import torch
from peft import get_peft_model

import small
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.models import loading, padded
from faithtune.models.backend import Query
from faithtune.settings.tunings import ADAPTERS
from faithtune.tuning import adapters
from trainings import card, changed, trained


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(24, seed=5), "sums", "train")


def test_an_adapter_is_what_the_settings_say():
    made = adapters.peft_config(changed(adapter="lora", rank=3, alpha=12, dropout=0.25, targets=["q_proj"]), "llama")
    assert (made.r, made.lora_alpha, made.lora_dropout, made.target_modules) == (3, 12, 0.25, {"q_proj"})
    assert made.task_type == "CAUSAL_LM"
    assert adapters.peft_config(changed(adapter="full"), "llama") is None


def gradients(network, ids) -> dict[str, torch.Tensor]:
    network.train()
    network.zero_grad()
    network(input_ids=ids, labels=ids).loss.backward()
    return {name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None}


def test_an_evaluation_pass_does_not_change_the_gradients(tiny_model):
    """On some CPUs an eval forward of bitsandbytes repacks 4-bit weights in place, which stops learning."""
    import bitsandbytes

    torch.manual_seed(0)
    network = adapters.load_network(card(tiny_model), changed(dtype="bfloat16"), "cpu")
    # On a CPU no packed layer is left that could be repacked.
    assert not [layer for layer in network.modules() if isinstance(layer, bitsandbytes.nn.Linear4bit)]
    network = get_peft_model(network, adapters.peft_config(changed(dropout=0.0), "llama"))
    ids = torch.randint(5, 100, (2, 30))
    before = gradients(network, ids)
    network.eval()
    with torch.no_grad():
        network(input_ids=ids)
    after = gradients(network, ids)
    assert any(gradient.abs().max() > 0 for gradient in before.values())
    assert all(torch.equal(before[name], after[name]) for name in before)


ALL = [(name, "nf4" if name == "qlora" else "none") for name in ADAPTERS]
QUANTISED = [(name, "nf4") for name in ("rslora", "dora", "ia3")]


@pytest.mark.parametrize(
    ("adapter", "quantisation", "dtype", "checkpointing"),
    [
        *((*one, dtype, False) for one in ALL for dtype in ("float32", "bfloat16")),
        *((*one, "bfloat16", True) for one in ALL),
        *((*one, "float32", False) for one in QUANTISED),
    ],
)
def test_every_adapter_trains_and_its_arm_loads(
    sums, tiny_model, templates, tmp_path, adapter, quantisation, dtype, checkpointing
):
    more = {"targets": None} if adapter == "ia3" else {}
    about = {"quantisation": quantisation, "dtype": dtype, "gradient_checkpointing": checkpointing}
    settings = changed(adapter=adapter, **about, **more)
    arm, log, made = trained(card(tiny_model), tmp_path, settings, sums, templates)
    assert log["step"].to_list() == [1, 2, 3, 4, 5, 6]
    assert arm["fixed"]["optimiser"].startswith("adamw") and arm["fixed"]["loss_on"] == "completion"
    assert arm["fixed"]["trained_in"] == "float32"  # on a CPU
    assert arm["fixed"]["clipping"] == 1.0 and ("double_quantisation" in arm["fixed"]) == (quantisation == "nf4")
    assert [made] == list((tmp_path / "c").iterdir())
    assert 0 < arm["change"]["relative"] < 0.2 and arm["change"]["norm"] > arm["change"]["relative"]
    base = loading.load_network(card(tiny_model), None, quantisation, "float32", "cpu")
    tuned = loading.load_network(card(tiny_model), arm, quantisation, "float32", "cpu")
    ids = torch.randint(5, 100, (1, 20))
    with torch.inference_mode():
        assert not torch.equal(base(ids).logits, tuned(ids).logits)


@pytest.mark.parametrize(("adapter", "dtype"), [("lora", "bfloat16"), ("full", "float32")])
def test_weights_that_move_themselves_are_float32(monkeypatch, adapter, dtype):
    """The steps of full tuning are too small for 16 bits; the base under an adapter keeps its dtype."""
    loaded = []
    network = SimpleNamespace(config=SimpleNamespace(use_cache=True), parameters=list)
    monkeypatch.setattr(loading, "load_base", lambda *how, **more: loaded.append(how) or network)
    adapters.load_network({"path": "base"}, changed(adapter=adapter, dtype="bfloat16", quantisation="none"), "cpu")
    assert loaded == [("base", "none", dtype, "cpu")] and network.config.use_cache is False


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("adapter", [name for name in ADAPTERS if name != "qlora"])
def test_an_arm_of_any_adapter_answers_in_the_tree_as_alone(tmp_path, adapter, dtype):
    """The network as peft has it, decoded greedily, says the same and as surely; its base does not."""
    base = small.network()
    base.save_pretrained(tmp_path / "base")
    settings = changed(adapter=adapter, rank=4, alpha=8, targets=None if adapter == "ia3" else "all-linear")
    torch.manual_seed(1)
    made = adapters.peft_config(settings, "llama")
    tuned = get_peft_model(base, made).eval() if made else base.eval()
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter += torch.randn_like(parameter) * (0.5 if made else parameter.std() / 2)
    tuned.save_pretrained(tmp_path / "arm")
    card, arm = {"path": str(tmp_path / "base")}, {"adapter": adapter, "path": str(tmp_path / "arm")}
    asked = [Query(f"Final Answer: {letter}. {word} plus", 3) for letter in "ABC" for word in ("red", "blue")]
    models = [small.model(loading.load_network(card, one, "none", dtype, "cpu").eval()) for one in (arm, None)]
    packed, untuned = (dict(model.answer(asked, 4, bool)) for model in models)
    alone = dict(padded.answer(models[0], asked, 4, bool))
    tolerance = {"float32": 1e-4, "bfloat16": 3e-2}[dtype]
    for i, query in enumerate(asked):
        assert packed[i].probabilities == pytest.approx(alone[i].probabilities, abs=tolerance)
        with torch.inference_mode():
            logits = tuned(torch.tensor([models[0].token_ids(query.prompt)])).logits[0, -1]
        letters = [models[0].token_ids(f" {letter}")[-1] for letter in "ABC"]
        expected = logits[letters].softmax(0).tolist()
        if dtype == "float32":
            assert packed[i].probabilities == pytest.approx(expected, abs=1e-3)
    assert any(packed[i].probabilities != pytest.approx(untuned[i].probabilities, abs=0.05) for i in packed)
