"""A micro-batch in a prefix tree has the loss and gradients of its single examples, with fewer tokens."""

import pytest
import torch

import small
from faithtune.tuning.methods import collator

COMMON = [7, 8, 9, 10, 11, 12]


def example(prompt: list[int], completion: list[int]) -> dict:
    return {"input_ids": prompt + completion, "labels": [-100] * len(prompt) + completion}


EXAMPLES = [
    example([*COMMON, 20, 21], [30, 31, 32]),
    example([*COMMON, 20, 21], [30, 33]),  # the same question, another solution with the same beginning
    example([*COMMON, 22], [30, 31, 32, 34]),
    example([*COMMON, 20, 21], [30, 31, 32]),  # the first example again
    example([40], [41] * 30),
]


def test_equal_beginnings_are_laid_out_once_and_nothing_is_padding():
    batch = collator.Collator(stacked=False)(EXAMPLES[:4])
    assert batch["input_ids"].tolist() == [[*COMMON, 20, 21, 30, 31, 22, 30, 31, 32]]
    assert batch["position_ids"].tolist() == [[*range(8), 8, 9, 6, 7, 8, 9]]
    assert batch["attention_mask"].sum() == 14  # what TRL counts as tokens
    # Node 7 predicts 30 in three examples, node 8 both 31 and 33.
    assert batch["tree"].predicting.tolist() == [7, 8, 9, 7, 8, 10, 11, 12, 13, 7, 8, 9]
    assert batch["shift_labels"].tolist() == [[30, 31, 32, 30, 33, 30, 31, 32, 34, 30, 31, 32]]


def test_a_first_token_is_not_predicted():
    batch = collator.Collator(stacked=False)([{"input_ids": [5, 6, 7], "labels": [5, -100, 7]}])
    assert batch["shift_labels"].tolist() == [[7]]
    assert batch["tree"].predicting.tolist() == [1]


def gradients(network) -> dict[str, torch.Tensor]:
    found = {name: parameter.grad.clone() for name, parameter in network.named_parameters()}
    network.zero_grad()
    return found


@pytest.mark.parametrize("stacked", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_loss_and_gradients_are_those_of_the_examples_alone(stacked, checkpointing):
    network = small.network(initializer_range=0.1).train()
    collator.score_predicting(network)
    n_learnt = sum(label != -100 for one in EXAMPLES for label in one["labels"])
    losses = []
    for one in EXAMPLES:
        ids, labels = (torch.tensor([one[name]]) for name in ("input_ids", "labels"))
        loss = network(input_ids=ids, labels=labels, num_items_in_batch=n_learnt, use_cache=False).loss
        loss.backward()
        losses.append(loss.item())
    alone = gradients(network)

    if checkpointing:
        network.gradient_checkpointing_enable({"use_reentrant": False})
    batch = collator.Collator(stacked)(EXAMPLES)
    batch["tree"] = batch["tree"].to("cpu", non_blocking=True)  # as the trainer does
    loss = network(**batch, num_items_in_batch=n_learnt, use_cache=False).loss
    loss.backward()
    together = gradients(network)
    assert loss.item() == pytest.approx(sum(losses), rel=1e-5)
    assert max(gradient.abs().max() for gradient in alone.values()) > 1e-3
    for name, gradient in alone.items():
        torch.testing.assert_close(together[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


def test_the_head_gets_only_what_predicts_and_other_calls_are_as_ever():
    network = small.network()
    ids = torch.tensor([EXAMPLES[0]["input_ids"]])
    with torch.inference_mode():
        before = network(input_ids=ids).logits
        collator.score_predicting(network)
        assert torch.equal(network(input_ids=ids).logits, before)
        found = network(**collator.Collator(stacked=False)(EXAMPLES[:1]), use_cache=False).logits
    assert found.shape[:2] == (1, 3)
    torch.testing.assert_close(found[0], before[0, 7:10], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_model_that_could_not_be_asked_is_not_tuned(tiny_model, templates, tmp_path, monkeypatch):
    """The tree is checked before the training starts."""
    from test_train import SETTINGS, trained

    from faithtune.core.errors import UserError
    from faithtune.data import questions
    from faithtune.data.readers import arithmetic
    from faithtune.models import support, weights

    monkeypatch.setattr(support, "unsupported_because", lambda config: "has layers of another kind")
    sums = questions.frame(arithmetic.generate(8, seed=5), "sums", "train")
    card = {"path": str(tiny_model), "weights_sha256": weights.folder_fingerprint(tiny_model)}
    with pytest.raises(UserError, match="has layers of another kind"):
        trained(card, tmp_path, SETTINGS, sums, templates)
