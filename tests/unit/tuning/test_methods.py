"""Each method of tuning learns what it must: a preference, a reward; and nothing where nothing is to be learnt."""

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

from faithtune.data import forms, questions
from faithtune.data.forms import STEPS
from faithtune.data.readers import arithmetic
from faithtune.models import loading
from faithtune.settings.tunings import LEARNING_RATES, METHODS, GrpoSettings, TuningSettings
from faithtune.tuning import train as tune
from faithtune.tuning.methods import grpo, kto, orpo, pairs
from trainings import card, of_method, trained

PAIRS = ("dpo", "kto", "orpo")


@pytest.fixture(scope="module")
def sums() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(16, seed=5), "sums", "train")


def preference(model: dict, arm: dict | None, rows: list[dict]) -> float:
    """How much likelier, in nats, the right completions of a model or arm are than the wrong ones, on average."""
    network = loading.load_network(model, arm, "none", "float32", "cpu").eval()

    def log_probability(row: dict, key: str) -> float:
        ids = torch.tensor([row["prompt_ids"] + row[key]])
        with torch.inference_mode():
            found = network(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        return float(found[len(row["prompt_ids"]) - 1 :].sum())

    return sum(log_probability(row, "chosen_ids") - log_probability(row, "rejected_ids") for row in rows) / len(rows)


def learnt(method: str, model: dict, folder, sums, templates, **more) -> tuple[dict, pl.DataFrame]:
    usual = {"adapter": "lora", "quantisation": "none", "dropout": 0.0, "checkpoint_steps": 50, "rank": 8, "alpha": 16}
    arm, log, _ = trained(model, folder, of_method(method, **usual | more), sums, templates)
    return arm, log


@pytest.mark.parametrize("method", PAIRS)
def test_right_completions_become_likelier_than_wrong_ones(sums, tiny_model, templates, tmp_path, method):
    model = card(tiny_model)
    rows = pairs.prepare(model, sums, templates, of_method("dpo"))
    settings = {"learning_rate": 0.005, "epochs": 4, "beta": 1 if method == "orpo" else 0.1}  # orpo's is a weight
    arm, log = learnt(method, model, tmp_path, sums, templates, **settings)
    assert preference(model, arm, rows) > preference(model, None, rows) + 0.2
    assert log["loss"].is_not_null().all() and log["tokens"].is_not_null().all() == (method != "orpo")
    if method != "kto":
        assert log["preferred"][-1] >= log["preferred"][0] and log["margin"][-1] > log["margin"][0]
    assert log["kl"].is_not_null().all() == (method == "kto")


def test_with_a_large_beta_dpo_stays_at_the_base(sums, tiny_model, templates, tmp_path):
    """Then the smallest margin is enough: the loss is flat beyond it."""
    model = card(tiny_model)
    rows = pairs.prepare(model, sums, templates, of_method("dpo"))
    base = preference(model, None, rows)
    moved = {}
    for beta in (0.1, 1000):
        settings = {"learning_rate": 0.001, "epochs": 10, "beta": beta}
        arm, _ = learnt("dpo", model, tmp_path / str(beta), sums.head(8), templates, **settings)
        moved[beta] = preference(model, arm, rows) - base
    assert abs(moved[1000]) < 0.4 * moved[0.1]


def test_full_tuning_has_a_reference_that_stays(sums, tiny_model, templates, tmp_path):
    model = card(tiny_model)
    rows = pairs.prepare(model, sums, templates, of_method("dpo"))
    arm, log = learnt("dpo", model, tmp_path, sums, templates, adapter="full", learning_rate=1e-4, epochs=3)
    assert preference(model, arm, rows) > preference(model, None, rows) + 0.1
    assert log["margin"][0] == 0 < log["margin"][-1]


def test_a_pair_differs_in_the_answer_alone(sums, tiny_model, templates):
    tokenizer = loading.load_tokenizer(tiny_model)
    for row, question in zip(
        pairs.prepare(card(tiny_model), sums, templates, of_method("dpo")), sums.to_dicts(), strict=True
    ):
        chosen, rejected = (tokenizer.decode(row[key]) for key in ("chosen_ids", "rejected_ids"))
        assert chosen.endswith(f"Final Answer: {question['answer']}<|end|>")
        assert chosen != rejected and chosen.partition("Final Answer:")[0] == rejected.partition("Final Answer:")[0]


def test_kto_estimates_kl_on_completions_of_other_prompts():
    rows = [{"prompt_ids": [i], "completion_ids": [10 + i], "label": True} for i in range(5)]
    found = kto._with_neighbours(rows, 2)
    assert [row["KL_completion_ids"] for row in found] == [[11], [10], [13], [12], [14]]


def test_orpo_learns_the_completion_and_not_the_prompt():
    torch.manual_seed(0)
    logits = torch.randn(2, 6, 9)  # of the token after each of 6; the second completion is shorter, and padded
    labels = torch.tensor([[-100, -100, 3, 4, 5], [-100, 7, 8, -100, -100]])
    learnt = [(0, 1, 3), (0, 2, 4), (0, 3, 5), (1, 0, 7), (1, 1, 8)]
    expected = -sum(float(logits[i, place].log_softmax(-1)[token]) for i, place, token in learnt) / len(learnt)
    assert float(orpo.likelihood_loss(logits, labels)) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_orpo_begins_as_the_bases(sums, tiny_model, templates, tmp_path):
    """Before the first step the loss is that of the completions under the base, and the odds ratio's."""
    model = card(tiny_model)
    _, log = learnt("orpo", model, tmp_path, sums.head(4), templates, beta=1e-6, epochs=1)
    rows = pairs.prepare(model, sums.head(4), templates, of_method("orpo"))
    network = loading.load_network(model, None, "none", "float32", "cpu").eval()
    losses = []
    for row in rows:
        ids = torch.tensor([row["prompt_ids"] + row["chosen_ids"]])
        with torch.inference_mode():
            found = network(ids).logits[0, :-1].log_softmax(-1).gather(1, ids[0, 1:, None])[:, 0]
        losses += (-found[len(row["prompt_ids"]) - 1 :]).tolist()
    assert log["loss"][0] == pytest.approx(sum(losses) / len(losses), rel=0.05)


def chosen_sample(monkeypatch, found):
    monkeypatch.setattr(grpo, "reward", found)


def test_where_all_chains_are_worth_the_same_grpo_moves_nothing(sums, tiny_model, templates, tmp_path, monkeypatch):
    chosen_sample(monkeypatch, lambda *_: 0.5)
    _, log = learnt("grpo", card(tiny_model), tmp_path, sums, templates, learning_rate=0.01)
    weights = load_file(tmp_path / "w/adapter_model.safetensors")
    moved = [name for name, weight in weights.items() if "lora_B" in name and weight.abs().max() > 0]
    assert moved == [] and log["reward"].to_list() == [0.5] * 4


def test_grpo_learns_what_is_rewarded(sums, tiny_model, templates, tmp_path, monkeypatch):
    """Here: texts with few digits."""
    chosen_sample(monkeypatch, lambda question, text, *_: -sum(character.isdigit() for character in text[7:]) / 10)
    group = GrpoSettings(generations=6, max_new_tokens=12)
    settings = {"grpo": group, "learning_rate": 0.01, "epochs": 6}
    _, log = learnt("grpo", card(tiny_model), tmp_path, sums, templates, **settings)
    assert log["reward"].tail(4).mean() > log["reward"].head(4).mean() + 0.1
    assert log["completion_tokens"].is_between(1, 12).all() and log["truncated"].is_between(0, 1).all()


NUMBER = {"kind": "number", "options": None, "answer": "12"}
CHOICE = {"kind": "choice", "options": ["red", "blue"], "answer": "B"}
HALF = {"kind": "expression", "options": [], "answer": r"\frac{1}{2}"}


@pytest.mark.parametrize(
    ("question", "text", "finished", "worth"),
    [
        (NUMBER, "Step 1: 5 + 7 = 12.\nFinal Answer: 12", True, 1.0),
        (
            NUMBER,
            "Step 1: 5 + 7 = 12.\nFinal Answer: 12\nand so on",
            False,
            1.0,
        ),  # an evaluation stops at the line's end
        (NUMBER, "Step 1: 5 + 7 = 12.\nFinal Answer: 12", False, 0.0),  # truncated: 123 might follow
        (NUMBER, "Step 1: 5 + 7 = 13.\nFinal Answer: 13", True, 0.1),
        (NUMBER, "Step 1: 5 + 7 is a sum.", True, 0.0),
        (CHOICE, "Step 1: Not red.\nFinal Answer: B. blue", True, 1.0),
        (CHOICE, "Step 1: Not blue.\nFinal Answer: A. red", True, 0.1),
        (HALF, "Step 1: Halve it.\nFinal Answer: $0.5$", True, 1.0),
        (HALF, "Step 1: Halve it.\nFinal Answer: $0.25$", True, 0.1),
        (HALF, "Step 1: Halve it.", True, 0.0),
    ],
)
def test_what_a_chain_is_worth(question, text, finished, worth):
    assert grpo.reward(question, text, finished, STEPS, 0.1) == worth


def test_what_a_thought_declares_is_worth_nothing():
    form = forms.ThinkingForm("<think>\n", "\n</think>\n\n")
    thought = "<think>\n5 + 7 = 12\nFinal Answer: 12\n"
    assert grpo.reward(NUMBER, thought, True, form, 0.1) == 0
    assert grpo.reward(NUMBER, f"{thought}</think>\n\nFinal Answer: 12", True, form, 0.1) == 1


def test_every_method_and_adapter_has_a_learning_rate():
    for method in METHODS:
        for adapter, rate in LEARNING_RATES[method].items():
            tuning = TuningSettings(method=method, adapter=adapter, train_sets=["sums"])
            assert tuning.learning_rate == rate > 0
            assert tuning.beta == {"sft": None, "grpo": 0}.get(method, 0.1)
        assert set(tune.method(method).LOGGED) > {"loss"}
