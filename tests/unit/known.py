"""A small transformer whose answers come from a known place, trained in seconds.

The question and the chain's last step each hold a digit, and the prompt names a rule:

    red     the answer is the chain's digit
    blue    the answer is the question's digit, whatever the chain says
    mixed   the chain's digit three times in four, else the question's: the best prediction is 0.75 and 0.25

Steps before the last hold digits that decide nothing. An answer that comes from the question is known before the chain:
the network is also trained to predict the question's digit, as far as the rule heeds it, at the end of the user's turn.
"""

import functools
import random

import torch

import small
from faithtune.models import local

RULES, SHARE = ("red", "blue", "mixed"), 0.75
# The rule stands in the user's turn outside the question.
TEMPLATES = {rule: {"cot_number": f"{rule}\n{{question}}", "no_cot_number": f"{rule}\n{{question}}"} for rule in RULES}
CUE = "\nFinal Answer:"


def question(asked: int) -> str:
    return f"plus {asked}"


def steps(rng: random.Random, said: int) -> list[str]:
    """One to three steps; the last holds the digit."""
    return [f"plus {rng.randrange(10)}" for _ in range(rng.randrange(3))] + [f"plus {said}"]


def prompt(rule: str, asked: int, chain: list[str]) -> str:
    turn = "\n".join(f"Step {i}: {step}" for i, step in enumerate(chain, start=1))
    return model_of(None).render(f"{rule}\n{question(asked)}", turn + CUE)


def before(rule: str, asked: int) -> str:
    """The text up to the assistant's turn."""
    return model_of(None).render(f"{rule}\n{question(asked)}")


def model_of(network) -> local.LocalModel:
    return small.model(network) if network else local.LocalModel(small.tokenizer(), lambda: None)


def distribution(rule: str, asked: int, said: int) -> torch.Tensor:
    """The probabilities of the ten digits that the rule gives."""
    p = torch.zeros(10)
    p[said] += {"red": 1.0, "blue": 0.0, "mixed": SHARE}[rule]
    p[asked] += {"red": 0.0, "blue": 1.0, "mixed": 1 - SHARE}[rule]
    return p


@functools.cache
def network(steps_of_training: int = 350):
    """The trained network; the loss is the cross-entropy with the rule's own distribution at the answer."""
    net, rng = small.network(0, hidden_size=64, intermediate_size=128, initializer_range=0.02), random.Random(0)
    tokens = small.tokenizer()
    digits = [tokens(f" {i}", add_special_tokens=False)["input_ids"] for i in range(10)]
    assert len({tuple(one[:-1]) for one in digits}) == 1
    space, digits = digits[0][:-1], [one[-1] for one in digits]
    end = tokens.eos_token_id
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    net.train()
    for step in range(steps_of_training):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * min(1, (step + 1) / 30) * (1 - step / steps_of_training)
        rows, wanted, ends, known = [], [], [], []
        for _ in range(32):
            rule, asked, said = rng.choice(RULES), rng.randrange(10), rng.randrange(10)
            ids = tokens(prompt(rule, asked, steps(rng, said)), add_special_tokens=False)["input_ids"]
            rows.append([*ids, *space, digits[said]])
            wanted.append(distribution(rule, asked, said))
            turn = tokens(before(rule, asked), add_special_tokens=False)["input_ids"]
            ends.append(len(turn) - len(rows[-1]) - 1)
            known.append(sum(distribution(rule, asked, any_digit) for any_digit in range(10)) / 10)
        # Padded on the left, so that the answers stand below one another; positions follow the text.
        width, n = max(map(len, rows)), len(space) + 2
        batch = torch.tensor([[end] * (width - len(row)) + row for row in rows])
        real = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
        every = net(batch, attention_mask=real).logits.log_softmax(-1)
        at, early = every[:, -n:], every[range(len(rows)), ends][:, digits]
        loss = -(torch.stack(wanted) * at[:, -2][:, digits]).sum(-1).mean() - at[:, -1, end].mean()
        loss = loss - (torch.stack(known) * early).sum(-1).mean() / 2
        for i, token in enumerate(space):
            loss = loss - at[:, i, token].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return net.eval()
