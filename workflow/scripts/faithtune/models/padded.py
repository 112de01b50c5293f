"""Answers without the prefix tree: whole prompts, in padded batches, by `generate` of transformers.

The study's noise floor compares these answers with the tree's; the benchmarks compare the cost.
"""

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch

from faithtune.models.backend import Answer, Completion, Query


class LoadedModel(Protocol):
    """A network in memory with its tokenizer, such as `local.LocalModel`."""

    tokenizer: Any
    network: Any
    stop_tokens: set[int]  # ids that end the model's turn
    batch_size: int

    def token_ids(self, text: str) -> list[int]:
        """Token ids of rendered text."""

    def letter_answer(self, query: Query, logits: torch.Tensor) -> Answer:
        """The answer to a choice, from next-token logits, float32 (vocabulary,)."""


def answer(
    model: LoadedModel, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool]
) -> Iterator[tuple[int, Answer]]:
    """The same as `model.answer`, but `p_reference` is None."""
    choices = [i for i, query in enumerate(queries) if query.n_options]
    for place, _, logits in _batches(model, [queries[i].prompt for i in choices], 1, ended):
        yield choices[place], model.letter_answer(queries[choices[place]], logits)
    numbers = [i for i, query in enumerate(queries) if not query.n_options]
    for place, completion, _ in _batches(model, [queries[i].prompt for i in numbers], max_new_tokens, ended):
        yield numbers[place], Answer(completion.text, completion.finished, [], None, None)


def generate(
    model: LoadedModel, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool]
) -> Iterator[tuple[int, Completion]]:
    """The same as `model.generate`."""
    return ((i, completion) for i, completion, _ in _batches(model, texts, max_new_tokens, ended))


@torch.inference_mode()
def _batches(
    model: LoadedModel, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool]
) -> Iterator[tuple[int, Completion, torch.Tensor]]:
    """(index, completion, logits of the first new token) of each text, longest first.

    Logits are float32 (vocabulary,), and None if more than one token may be written.
    """
    ids = [model.token_ids(text) for text in texts]
    order = sorted(range(len(ids)), key=lambda i: (-len(ids[i]), i))
    pad, device = model.tokenizer.pad_token_id, model.network.device if texts else None
    for start in range(0, len(order), model.batch_size):
        chosen = order[start : start + model.batch_size]
        width = len(ids[chosen[0]])
        gaps = [width - len(ids[i]) for i in chosen]

        def rows_ended(tokens, scores, width=width, **_):
            tails = model.tokenizer.batch_decode(tokens[:, width:], skip_special_tokens=True)
            return torch.tensor([ended(tail) for tail in tails], device=device)

        output = model.network.generate(
            input_ids=torch.tensor([[pad] * gap + ids[i] for i, gap in zip(chosen, gaps, strict=True)], device=device),
            attention_mask=torch.tensor([[0] * gap + [1] * (width - gap) for gap in gaps], device=device),
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            pad_token_id=pad,
            stopping_criteria=[rows_ended],
            output_logits=max_new_tokens == 1,
            return_dict_in_generate=True,
        )
        rows = output.sequences[:, width:].tolist()
        logits = output.logits[0].float() if output.logits else [None] * len(rows)
        for i, row, first in zip(chosen, rows, logits, strict=True):
            yield i, _cut_at_end(model, row, ended), first


def _cut_at_end(model: LoadedModel, row: list[int], ended: Callable[[str], bool]) -> Completion:
    """The completion in a row of new tokens, which is padded after its end until the whole batch has ended."""
    ends = [i for i, token in enumerate(row) if token in model.stop_tokens or token == model.tokenizer.pad_token_id]
    written = row[: ends[0]] if ends else row
    text = model.tokenizer.decode(written, skip_special_tokens=True)
    stopped = bool(ends) and row[ends[0]] in model.stop_tokens
    return Completion(text, len(written), finished=stopped or ended(text))
