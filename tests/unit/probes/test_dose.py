"""An adapter scaled and switched off in places: at 0 it is base, at 1 the arm, and between what merged weights say."""

import json

import polars as pl
import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import LoraLayer
from safetensors.torch import save_file

import frames
import small
from faithtune.arms import answers as answering
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.probes import PROBES
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.interventions import build
from faithtune.models import loading, packed_linear
from faithtune.probes import dose
from faithtune.probes.dose import Setting
from faithtune.probes.registry import MEASURES
from faithtune.settings.answers import AnswerSettings

TEMPLATES = {
    "cot_number": "red {question}\nThink.",
    "no_cot_number": "blue {question}",
    "cot_choice": "red {question}\nThink.",
    "no_cot_choice": "blue {question}",
}
SETTINGS = AnswerSettings(max_new_tokens=3, min_option_mass=0, again=2)
IDS = torch.tensor([[7, 20, 31, 5, 60, 44, 18]])
THIRDS, SCALES = ["first third", "middle third", "last third"], [0, 0.5, 1, 1.25]
OFF = [Setting(part=place) for place in THIRDS]


def tuned(**changed):
    """Of three layers, with LoRA that changes all of them."""
    torch.manual_seed(1)
    config = LoraConfig(**{"r": 4, "lora_alpha": 8, "target_modules": "all-linear"} | changed, init_lora_weights=False)
    return get_peft_model(small.network(0, num_hidden_layers=3), config).eval()


@torch.no_grad()
def logits(network) -> torch.Tensor:
    return network(IDS, attention_mask=None).logits


def without(network, *words: str):
    """The network with LoRA's second matrix 0 where a name has one of these words."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "lora_B" in name and any(word in name for word in words):
                parameter.zero_()
    return network


@pytest.fixture(scope="module")
def asked() -> pl.DataFrame:
    choices = [questions.choice(f"red or blue {i}?", ["red", "blue", "plus 3"], "ABC"[i % 3]) for i in range(6)]
    return questions.frame(choices + arithmetic.generate(2, seed=3), "mixed", "eval")


@pytest.fixture(scope="module")
def chains(asked) -> pl.DataFrame:
    """Of two steps, of one, of none, and truncated."""
    steps = [["red plus 3", "blue"], ["red", "plus"], ["blue"], ["plus 4", "red"], ["red"], [], ["plus 9"], ["blue 2"]]
    rows = [
        {
            "id": name,
            "text": " ".join(own),
            "steps": own,
            "n_steps": len(own),
            "outcome": "truncated" if i == 3 else "answered",
        }
        for i, (name, own) in enumerate(zip(asked["id"], steps, strict=True))
    ]
    return pl.DataFrame(rows, schema=CHAINS)


@pytest.fixture(scope="module")
def interventions(chains) -> pl.DataFrame:
    return build.build(chains, frames.tampering(["early_termination", "filler"]), small.model().count_tokens)


def answered(network, asked, chains, interventions) -> pl.DataFrame:
    """ANSWERS of a network, as the stage of answers has them."""
    arm = CachedArm(small.model(network), MemoryStore(), "arm")
    return answering.answer(arm, Block(0, asked), chains, interventions, TEMPLATES, SETTINGS)


def dosed(network, asked, chains, interventions, stored, scales=SCALES) -> pl.DataFrame:
    about = (asked, chains, interventions, stored, TEMPLATES, SETTINGS, scales)
    return pl.DataFrame(dose.dose(small.model(network), *about), schema=PROBES)


def test_at_scale_0_it_is_base_and_at_1_itself():
    network, base = tuned(), small.network(0, num_hidden_layers=3)
    before = logits(network)
    assert (before - logits(base)).abs().max() > 0.1
    with dose.dosed(network, Setting(0.0)):
        assert torch.allclose(logits(network), logits(base), atol=1e-6)
    with dose.dosed(network, Setting(1.0)):
        assert torch.equal(logits(network), before)
    with dose.dosed(network, Setting(0.5)):
        half = logits(network)
    merged = tuned(lora_alpha=4).merge_and_unload()  # the same matrices at half the scale
    assert torch.allclose(half, logits(merged), atol=1e-4)


def test_switched_off_in_all_thirds_it_is_base():
    network, base = tuned(), small.network(0, num_hidden_layers=3)
    with dose.dosed(network, OFF[0]), dose.dosed(network, OFF[1]), dose.dosed(network, OFF[2]):
        assert torch.allclose(logits(network), logits(base), atol=1e-6)
    with dose.dosed(network, Setting(part="attention")), dose.dosed(network, Setting(part="mlp")):
        assert torch.allclose(logits(network), logits(base), atol=1e-6)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("first third", ["layers.0."]),
        ("middle third", ["layers.1."]),
        ("last third", ["layers.2."]),
        ("attention", ["q_proj", "k_proj", "v_proj", "o_proj"]),
        ("mlp", ["gate_proj", "up_proj", "down_proj"]),
    ],
)
def test_a_place_is_off_as_if_nothing_had_been_learnt_there(place, words):
    network = tuned()
    with dose.dosed(network, Setting(part=place)):
        found = logits(network)
    assert torch.allclose(found, logits(without(tuned(), *words)), atol=1e-6)
    assert not torch.allclose(found, logits(network), atol=1e-3)


@pytest.mark.parametrize("setting", [Setting(0.0), Setting(part="mlp")])
def test_the_scale_is_back_afterwards_also_after_an_error(setting):
    network = tuned()
    scales = [dict(module.scaling) for module in network.modules() if isinstance(module, LoraLayer)]
    with pytest.raises(KeyError), dose.dosed(network, setting):
        raise KeyError
    assert scales == [dict(module.scaling) for module in network.modules() if isinstance(module, LoraLayer)]


def test_places_where_nothing_is_adapted_or_all_is_are_no_settings():
    assert dose.settings_of(tuned(), [0, 1]) == [Setting(0.0), Setting(1.0), *(Setting(part=x) for x in dose.PLACES)]
    assert dose.settings_of(tuned(target_modules=["q_proj"]), []) == OFF
    last = tuned(target_modules=["q_proj", "up_proj"], layers_to_transform=[2])
    assert [setting.part for setting in dose.settings_of(last, [])] == ["attention", "mlp"]


def test_thirds_of_layers_differ_by_one():
    torch.manual_seed(0)
    for n, sizes in {2: [1, 1, 0], 4: [2, 1, 1], 8: [3, 3, 2]}.items():
        network = get_peft_model(
            small.network(0, num_hidden_layers=n), LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
        )
        assert [len(dose._within(network, place)) for place in THIRDS] == sizes


def test_answers_at_0_are_those_of_base_and_at_1_the_stored_ones(asked, chains, interventions):
    network, base = tuned(), small.network(0, num_hidden_layers=3)
    own, of_base = (answered(one, asked, chains, interventions) for one in (network, base))
    found = dosed(network, asked, chains, interventions, own)
    assert set(found["measure"]) == {name for name, one in MEASURES.items() if one.look == "dose"}
    assert found.filter(pl.col("part").is_null())["scale"].unique().sort().to_list() == SCALES
    assert set(found.filter(pl.col("part").is_not_null()).select("part", "scale").rows()) == {
        (place, 1.0) for place in dose.PLACES
    }
    for scale, answers in ((0.0, of_base), (1.0, own)):
        at = found.filter(pl.col("scale") == scale, pl.col("part").is_null())
        for test, measure in (("full", "dose_correct"), ("no_cot", "dose_correct_no_cot")):
            rows = answers.filter(pl.col("test") == test)
            values = dict(at.filter(pl.col("measure") == measure).select("id", "value").rows())
            assert values == dict(rows.select("id", pl.col("correct").fill_null(False).cast(pl.Float64)).rows())
        cut = answers.filter(pl.col("test") == "early_termination", pl.col("k") < pl.col("n_steps"))
        matches = dict(cut.group_by("id").agg(pl.col("match").cast(pl.Float64).mean()).rows())
        assert dict(at.filter(pl.col("measure") == "dose_match").select("id", "value").rows()) == matches
    same = dict(at.filter(pl.col("measure") == "dose_same").select("id", "value").rows())
    full = own.filter(pl.col("test") == "full")
    assert same == {name: 1.0 if answer else None for name, answer in full.select("id", "answer").rows()}
    first = of_base.filter(pl.col("test") == "full").select("id", "answer").join(full, on="id")
    moved = {row[0]: float(row[1] == row[2]) for row in first.select("id", "answer", "answer_right").rows() if all(row)}
    at = found.filter(pl.col("scale") == 0, pl.col("measure") == "dose_same", pl.col("value").is_not_null())
    assert dict(at.select("id", "value").rows()) == moved and 0.0 in moved.values()


def test_nothing_remains_of_the_settings(asked, chains, interventions):
    """The model that was asked answers as before, and no setting sees another one's keys and values."""
    network = tuned()
    own = answered(network, asked, chains, interventions)
    there, back = (dosed(network, asked, chains, interventions, own, scales) for scales in (SCALES, SCALES[::-1]))
    order = ["part", "scale", "id", "measure"]
    assert there.sort(order).equals(back.sort(order))
    assert answered(network, asked, chains, interventions).equals(own)


def test_values_by_hand():
    """Four cuts: two answers alike, one other, one missing; a wrong answer; none; a truncated chain."""
    found = frames.answers(
        frames.answer_rows("right", full="A", no_cot="B", n=4, early_termination=["A", "A", "B", None, "A"]),
        frames.answer_rows("wrong", full="C", no_cot="A", n=1, early_termination=["C", "C"]),
        frames.answer_rows("silent", full=None, no_cot=None, n=2, early_termination=["A", "A", None]),
        frames.answer_rows("mute", full="A", n=2, early_termination=[frames.TRUNCATED, None, "A"]),
        frames.answer_rows("cut", truncated=True),
    )
    stored = {"right": "A", "wrong": "B", "silent": "A", "mute": None, "cut": None}
    rows = dose._rows(found, dict.fromkeys(stored, "choice"), stored)
    assert {(row["id"], row["measure"].removeprefix("dose_")): (row["value"], row["outcome"]) for row in rows} == {
        ("right", "correct"): (1.0, "answered"),
        ("right", "correct_no_cot"): (0.0, "answered"),
        ("right", "same"): (1.0, "answered"),
        ("right", "match"): (2 / 3, "answered"),
        ("wrong", "correct"): (0.0, "answered"),
        ("wrong", "correct_no_cot"): (1.0, "answered"),
        ("wrong", "same"): (0.0, "answered"),
        ("wrong", "match"): (1.0, "answered"),
        ("silent", "correct"): (0.0, "unanswered"),
        ("silent", "correct_no_cot"): (0.0, "unanswered"),
        ("silent", "same"): (None, "unanswered"),
        ("silent", "match"): (None, "unanswered"),
        ("mute", "correct"): (1.0, "answered"),
        ("mute", "correct_no_cot"): (1.0, "answered"),
        ("mute", "same"): (None, "answered"),
        ("mute", "match"): (None, "truncated"),
        ("cut", "correct"): (0.0, "truncated"),
        ("cut", "correct_no_cot"): (1.0, "answered"),
        ("cut", "same"): (None, "truncated"),
    }


def test_expressions_are_the_same_in_any_spelling():
    assert dose._same(r"\frac{1}{2}", "0.5", "expression") == 1.0
    assert dose._same(r"\frac{1}{3}", "0.5", "expression") == 0.0
    assert dose._same("7", "7.5", "number") == 0.0


def test_dora_has_no_dose_as_at_0_it_is_not_off():
    network, base = tuned(use_dora=True), small.network(0, num_hidden_layers=3)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "magnitude" in name:
                parameter *= 1.5
    with dose.dosed(network, Setting(0.0)):
        assert (logits(network) - logits(base)).abs().max() > 0.1
    assert "DoRA" in dose.why_no_dose({"adapter": "dora"})


def handed_in(folder, extra: tuple[str, ...] = (), **config) -> dict:
    """The card of an adapter that was handed in, with LoRA and `extra` weights."""
    names = ("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", *extra)
    save_file({name: torch.zeros(1) for name in names}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 2} | config), encoding="utf-8")
    return {"adapter": "lora", "handed_in": "adapter", "path": str(folder)}


def test_lora_alone_has_a_dose(tmp_path):
    assert [dose.why_no_dose({"adapter": name}) for name in ("lora", "qlora", "rslora")] == [None] * 3
    assert all(dose.why_no_dose({"adapter": name}) for name in ("full", "ia3", "other"))
    assert "base" in dose.why_no_dose(None)
    for plain in ({}, {"init_lora_weights": True}, {"init_lora_weights": "gaussian"}, {"use_dora": False}):
        assert dose.why_no_dose(handed_in(tmp_path, **plain)) is None
    assert "pissa" in dose.why_no_dose(handed_in(tmp_path, init_lora_weights="pissa"))
    assert "use_bdlora" in dose.why_no_dose(handed_in(tmp_path, use_bdlora={"target_modules_bd_a": ["q_proj"]}))
    assert "lm_head.weight" in dose.why_no_dose(handed_in(tmp_path, ("base_model.model.lm_head.weight",)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_network_is_loaded_with_its_adapter_beside_weights_that_can_be_read(tmp_path, dtype):
    base = small.network(0, hidden_size=64, intermediate_size=128)
    base.save_pretrained(tmp_path / "base")
    made = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    made.save_pretrained(tmp_path / "arm")
    cards = {"path": str(tmp_path / "base")}, {"adapter": "lora", "path": str(tmp_path / "arm")}
    usual, found = (loading.load_network(*cards, "none", dtype, "cpu", open_adapter=one) for one in (False, True))
    assert any(isinstance(module, packed_linear.PackedLinear) for module in usual.modules()) or dtype == "bfloat16"
    assert not any(isinstance(module, packed_linear.PackedLinear) for module in found.modules())
    assert len([module for module in found.modules() if isinstance(module, LoraLayer)]) == 2
    tolerance = {"float32": 1e-3, "bfloat16": 0.5}[dtype]
    assert torch.allclose(logits(usual.eval()).float(), logits(found.eval()).float(), atol=tolerance)
