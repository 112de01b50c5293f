"""Whether an arm's weights are on: how far its next-token probabilities are from those of its base.

Two places are compared, because tuning may act on one of them alone (tuning on bare answers acts on answers):

    chain    the base continues the prompts of QUESTIONS questions greedily by TOKENS tokens; both networks then
             predict each next token of these texts, from the first token of the chain on
    answer   the answer without a chain to ANSWERS questions: the probabilities of its first token, and what is answered

The cost is QUESTIONS short texts and ANSWERS prompts for each of the two networks, and for questions that ask for a
number the few tokens of the answer: less than the study's own answers without a chain to 100 questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from faithtune.core.errors import UserError
from faithtune.data import prompts as turns
from faithtune.data.questions import LETTERS
from faithtune.extraction import steps
from faithtune.models.backend import Query
from faithtune.models.local import LocalModel
from faithtune.models.tree_cache import TreeCache

QUESTIONS, TOKENS, ANSWERS = 8, 16, 32
# A text as token ids, and the place of the prompt's last token.
Text = tuple[list[int], int]


@dataclass(frozen=True)
class Predictions:
    """What a network predicts on the first questions; log p are float32, on the CPU."""

    chain: torch.Tensor  # log p of each next token of the texts (positions, vocabulary)
    first: torch.Tensor  # log p of the first token of each answer without a chain (answers, vocabulary)
    answers: list[str]  # these answers: a letter, or what is written for a number


def continue_greedily(model: LocalModel, prompts: Sequence[str]) -> list[Text]:
    """Each prompt with up to TOKENS tokens that the model writes after it."""
    written = dict(model.generate(list(prompts), TOKENS))
    found = [(model.token_ids(prompt), written[i].text) for i, prompt in enumerate(prompts)]
    return [(model.token_ids(prompt + text), len(ids) - 1) for prompt, (ids, text) in zip(prompts, found, strict=True)]


def predict(name: str, model: LocalModel, texts: Sequence[Text], asked: Sequence[Query]) -> Predictions:
    """What the arm `name` predicts in `texts` (`continue_greedily` of the base) and answers to `asked`.

    Of an answer that is a number up to TOKENS tokens are written. UserError if the probabilities are no numbers.
    """
    network = model.load().eval()  # not yet `model.network`, which would refuse NaN as another architecture
    ends = [(ids, len(ids) - 1) for ids in (model.token_ids(query.prompt) for query in asked)]
    chain, first = log_probabilities(network, texts), log_probabilities(network, ends)
    for part, what in ((chain, "next tokens of chains"), (first, "answers without a chain")):
        if not part.isfinite().all():
            broken = int((~part.isfinite()).any(-1).sum())
            raise UserError(f"{name} computes NaN: no finite probabilities at {broken} of {len(part)} {what}")
    numbers = [i for i, query in enumerate(asked) if not query.n_options]
    written = model.generate([asked[i].prompt for i in numbers], TOKENS, steps.line_ended)
    found = {numbers[place]: completion.text.strip() for place, completion in written}
    for i, query in enumerate(asked):
        if query.n_options:
            ids = turns.option_token_ids(model.tokenizer, query.n_options)
            found[i] = LETTERS[int(first[i, ids].argmax())]
    return Predictions(chain, first, [found[i] for i in range(len(asked))])


@torch.inference_mode()
def log_probabilities(network, texts: Sequence[Text]) -> torch.Tensor:
    """log p of every next token after the prompts, float32 (positions, vocabulary), on the CPU."""
    found = []
    for ids, start in texts:
        cache = TreeCache(lambda: network)
        nodes = cache.insert(ids, start)[start:]
        found.append(cache.forward(nodes).log_softmax(-1).cpu())
    return torch.cat(found)


def compare(arm: str, before: Predictions, after: Predictions) -> dict[str, float]:
    """How far `after`, of the arm of that name, is from `before`, of its base.

    Returns for chains mean, largest: absolute difference of log p, in nats; kl: mean KL divergence of the arm from the
    base, in nats; changed: share of positions at which another token is the likeliest; positions: how many; and for
    answers without a chain answers: how many; answers_changed: how many are others; answers_shift: mean total variation
    of the first token's probabilities. UserError if nothing changed.
    """
    difference = (after.chain - before.chain).abs()
    if difference.max() == 0 and (after.first == before.first).all():
        raise UserError(
            f"{arm} changes nothing: each of {len(after.chain) + len(after.first)} next tokens has the probability that"
            " it has in the base, at the start of chains and of answers without a chain; expected weights that were"
            " trained"
        )
    return {
        "mean": difference.mean().item(),
        "largest": difference.max().item(),
        "kl": (before.chain.exp() * (before.chain - after.chain)).sum(-1).mean().item(),
        "changed": (after.chain.argmax(-1) != before.chain.argmax(-1)).float().mean().item(),
        "positions": len(after.chain),
        "answers": len(after.answers),
        "answers_changed": sum(one != other for one, other in zip(before.answers, after.answers, strict=True)),
        "answers_shift": (after.first.exp() - before.first.exp()).abs().sum(-1).div(2).mean().item(),
    }
