"""Where an answer is decided: hidden states read by the network's own head (the logit lens), and attention of the cue.

The lens applies the final norm and the head to the state of every layer. It reads three kinds of places: the last token
before the chain, the end of each step, and the last token before the answer. Among the options it asks for the
likeliest letter; of a number, for its first token with a digit, among all tokens that begin with one. Before the cue
the network predicts no answer there, so low probabilities say little; that they rise says something.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.models.local import LocalModel
from faithtune.probes import parts
from faithtune.probes.parts import Parts
from faithtune.probes.reasoned import Reasoned
from faithtune.probes.registry import BEFORE, CUE, STEP


@dataclass(frozen=True)
class Text:
    """A prompt after a whole chain, as far as the token before the one that decides the answer."""

    reasoned: Reasoned
    parts: Parts
    ids: list[int]
    candidates: list[int]  # tokens among which the answer's is sought
    target: int | None  # index of the answer's own among them; None: no token decides it

    @property
    def places(self) -> list[tuple[str, int | None, int]]:
        """(part, k, token) where the lens looks."""
        ends = [(STEP, k, step[-1]) for k, step in enumerate(self.parts.steps, start=1) if step]
        return [(BEFORE, None, self.parts.before), *ends, (CUE, None, len(self.ids) - 1)]


def text(model: LocalModel, reasoned: Reasoned, templates: dict[str, str]) -> Text:
    """The text of a question in which the lens looks."""
    divided = parts.divide(model, templates, reasoned.question, reasoned.steps)
    ids = model.token_ids(divided.prompt)
    if n_options := len(reasoned.question["options"]):
        options = prompts.option_token_ids(model.tokenizer, n_options)
        return Text(reasoned, divided, ids, options, ord(reasoned.reference) - ord("A"))
    digits = model.digit_tokens
    tail = model.tokens_after(divided.prompt, f" {reasoned.reference}") if reasoned.scored else []
    first = next((i for i, token in enumerate(tail) if token in set(digits)), None)
    if first is None:
        return Text(reasoned, divided, ids, [], None)
    return Text(reasoned, divided, ids + tail[:first], digits, digits.index(tail[first]))


def rows(network, read: Text, states_there: torch.Tensor) -> Iterator[dict]:
    """Rows of PROBES; states_there: (layers + 1, places, width) at the text's places."""
    if read.target is None:
        return
    p = probabilities(network, states_there, read.candidates)
    decided = p.argmax(-1) == read.target
    for i, (part, k, _) in enumerate(read.places):
        where = {"id": read.reasoned.question["id"], "part": part, "k": k}
        for layer, value in enumerate(p[:, i, read.target].tolist()):
            yield where | {"measure": "lens_p", "layer": layer, "value": value}
        yield where | {"measure": "decision_layer", "value": decision_layer(decided[:, i].tolist())}


def decision_layer(decided: Sequence[bool]) -> float | None:
    """The first layer from which all are decided; None if the last is not."""
    other = [layer for layer, yes in enumerate(decided) if not yes]
    first = other[-1] + 1 if other else 0
    return float(first) if first < len(decided) else None


@torch.inference_mode()
def probabilities(network, found: torch.Tensor, candidates: Sequence[int]) -> torch.Tensor:
    """Probabilities of the candidates by layer, float32 (layers + 1, places, candidates), on the CPU.

    found: hidden states (layers + 1, places, width), the last one normalised.
    """
    norm, head, layers = final_norm(network), network.get_output_embeddings(), []
    config = network.config.get_text_config()
    # Cohere multiplies logits, Granite divides them.
    scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
    for i, state in enumerate(found):
        state = state.to(network.dtype)
        logits = head(state if i == len(found) - 1 else norm(state))
        layers.append((scale * logits[:, list(candidates)].float()).softmax(-1).cpu())
    return torch.stack(layers)


def final_norm(network) -> torch.nn.Module:
    """The norm between the last layer and the head. UserError if none is found."""
    decoder = network.get_decoder()
    named = [module for name, module in decoder.named_children() if "norm" in name or name.startswith("ln_")]
    if not named:
        raise UserError("model: its final norm was not found, which the lens needs; take lens out of probes.looks")
    return named[-1]
