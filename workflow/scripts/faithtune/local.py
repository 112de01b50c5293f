"""The local backend: an arm in memory (`networks`), asked in batches and in prefix trees."""

import copy
import functools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from tqdm import tqdm

from faithtune import prompts
from faithtune.tree import Tree

# Part of every row's key: raise it when a change here, or of the rules that end a text, changes what a row holds.
ENGINE = "1"


@dataclass(frozen=True)
class Generated:
    """What a model wrote after a prompt."""

    text: str
    n_tokens: int
    finished: bool  # False: cut at the token limit


@dataclass(frozen=True)
class Ask:
    """A prompt that ends with the answer cue."""

    prompt: str
    n_options: int = 0  # choices: probabilities over so many letters; 0: a number is written
    reference: str | None = None  # the number whose probability is wanted, in canonical form


@dataclass(frozen=True)
class Told:
    """What the model answered: letters are read, numbers are written."""

    text: str | None  # after the cue, for numbers
    finished: bool  # False: the number's text was cut at the token limit
    probabilities: list[float]  # over the letters, sums to 1; empty for numbers
    option_mass: float | None  # probability of all the letters together; null for numbers
    p_reference: float | None  # of the number `reference`, not followed by a further digit


class Forest:
    """A prefix tree with the keys and values of the nodes computed so far."""

    def __init__(self, network):
        self.network = network
        self.tree = Tree()
        self.cache = transformers.DynamicCache()
        self.mask = np.zeros((0, 0), dtype=bool)

    def grow(self, wanted: list[int]) -> torch.Tensor:
        """Compute the nodes added since the last call.

        Returns their next-token logits, float32 (len(wanted), vocabulary), at
        the `wanted` nodes, which must be among the new ones.
        """
        done, device = len(self.mask), self.network.device
        self.mask = self.tree.extend(self.mask)
        output = self.network(
            input_ids=torch.tensor([self.tree.tokens[done:]], device=device),
            position_ids=torch.tensor([self.tree.positions[done:]], device=device),
            attention_mask=torch.from_numpy(self.mask[None, None, done:]).to(device),
            past_key_values=self.cache,
            logits_to_keep=torch.tensor(wanted, device=device) - done,
            use_cache=True,
        )
        return output.logits[0].float().cpu()


class LocalModel:
    """An arm in memory: answers prompts that are rendered text."""

    def __init__(self, tokenizer, load: Callable, batch_size: int = 32, max_packed_tokens: int = 1024):
        self.tokenizer = tokenizer
        self.load = load
        self.batch_size = batch_size
        self.max_packed_tokens = max_packed_tokens

    @functools.cached_property
    def network(self):
        """The network, loaded when something is to be computed."""
        return self.load().eval()

    @functools.cached_property
    def digit_tokens(self) -> torch.Tensor:
        """Ids of the tokens that begin with a digit: they continue a number, all others end it."""
        texts = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        return torch.tensor([i for i, text in enumerate(texts) if text[:1].isdigit()])

    def token_ids(self, text: str) -> list[int]:
        """Token ids of rendered text."""
        return prompts.token_ids(self.tokenizer, text)

    def count_tokens(self, text: str) -> int:
        """How many tokens the model's own tokenizer makes of `text`."""
        return len(self.token_ids(text))

    @torch.inference_mode()
    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool] = lambda text: False
    ) -> Iterator[tuple[int, Generated]]:
        """Continue each text greedily; yields (index, Generated) batch by batch, longest first.

        A text is finished at the end-of-turn token or once `ended(new text)` holds.
        The tokens that all texts begin with are computed once.
        """
        ids = [self.token_ids(text) for text in texts]
        shared = os.path.commonprefix([row[:-1] for row in ids])  # noqa: RUF071 (token ids, not paths)
        prefix = self._cache(shared) if len(ids) > 1 and shared else None
        order = sorted(range(len(ids)), key=lambda i: (-len(ids[i]), i))
        bar = tqdm(total=len(ids), unit="text", desc="generate", mininterval=5, disable=not ids)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch = self._batch([ids[i] for i in chosen], len(shared) if prefix else 0)
            width = batch["input_ids"].shape[1]
            if prefix:
                batch["past_key_values"] = copy.deepcopy(prefix)
                batch["past_key_values"].batch_repeat_interleave(len(chosen))

            def rows_ended(tokens, scores, width=width, **_):
                tails = self.tokenizer.batch_decode(tokens[:, width:], skip_special_tokens=True)
                return torch.tensor([ended(tail) for tail in tails], device=tokens.device)

            output = self.network.generate(
                **batch,
                max_new_tokens=max_new_tokens,
                do_sample=False,
                num_beams=1,
                pad_token_id=self.tokenizer.pad_token_id,
                stopping_criteria=[rows_ended],
            )
            for i, row in zip(chosen, output[:, width:].tolist(), strict=True):
                yield i, self._generated(row, ended)
            bar.update(len(chosen))
        bar.close()

    def _cache(self, ids: list[int]):
        """Keys and values of a prefix."""
        return self.network(torch.tensor([ids], device=self.network.device), logits_to_keep=1).past_key_values

    def _batch(self, rows: list[list[int]], n_shared: int) -> dict[str, torch.Tensor]:
        """Rows of token ids as one tensor; padding stands between the shared prefix and what differs."""
        width = max(map(len, rows))
        gaps = [width - len(row) for row in rows]
        pad = self.tokenizer.pad_token_id
        ids = [row[:n_shared] + [pad] * gap + row[n_shared:] for row, gap in zip(rows, gaps, strict=True)]
        mask = [[1] * n_shared + [0] * gap + [1] * (width - n_shared - gap) for gap in gaps]
        device = self.network.device
        return {
            "input_ids": torch.tensor(ids, device=device),
            "attention_mask": torch.tensor(mask, device=device),
        }

    def _generated(self, row: list[int], ended: Callable[[str], bool]) -> Generated:
        stopped = next((i for i, token in enumerate(row) if token in self.stop_tokens), None)
        # A row that ended by the rule is padded until its whole batch has ended.
        end = next((i for i, token in enumerate(row) if token == self.tokenizer.pad_token_id), stopped)
        kept = row if end is None else row[: end if stopped is None else min(end, stopped)]
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Generated(text, len(kept), finished=stopped is not None or ended(text))

    @torch.inference_mode()
    def answer(
        self, groups: list[list[Ask]], max_new_tokens: int, ended: Callable[[str], bool]
    ) -> Iterator[tuple[int, list[Told]]]:
        """Answer all asks of each group (a question's interventions); yields (group index, answers).

        The tokens of several groups are packed into one prefix tree, so that each
        distinct token is computed once; numbers are then written greedily, all
        branches of the tree together, as `generate` would write them.
        """
        if not groups:  # all rows are kept: the network need not be loaded
            return
        bar = tqdm(total=len(groups), unit="question", desc="answer", mininterval=5)
        pack, forest = [], Forest(self.network)
        for index, group in enumerate(groups):
            pack.append((index, [self._branch(ask, forest.tree) for ask in group]))
            if len(forest.tree) >= self.max_packed_tokens or index == len(groups) - 1:
                yield from self._read(pack, forest, max_new_tokens, ended)
                bar.update(len(pack))
                pack, forest = [], Forest(self.network)
        bar.close()

    def _branch(self, ask: Ask, tree: Tree) -> tuple[Ask, int, list[int], list[int]]:
        """Lay a prompt and its reference into the tree: the cue's node, the reference's tokens and nodes."""
        prompt = self.token_ids(ask.prompt)
        cue = tree.insert(prompt)[-1]
        tail = [] if ask.reference is None else self.token_ids(f"{ask.prompt} {ask.reference}")[len(prompt) :]
        return ask, cue, tail, tree.insert(prompt + tail)[len(prompt) :]

    def _read(self, pack: list, forest: Forest, max_new_tokens: int, ended) -> Iterator[tuple[int, list[Told]]]:
        branches = [branch for _, group in pack for branch in group]
        wanted = sorted({node for _, cue, _, nodes in branches for node in (cue, *nodes)})
        logits = dict(zip(wanted, forest.grow(wanted), strict=True))
        cues = {cue: logits[cue] for ask, cue, *_ in branches if not ask.n_options}
        written = {cue: self._generated(ids, ended) for cue, ids in self._write(cues, forest, max_new_tokens, ended)}
        for index, group in pack:
            yield index, [self._told(ask, cue, tail, nodes, logits, written) for ask, cue, tail, nodes in group]

    def _write(self, cues: dict[int, torch.Tensor], forest: Forest, max_new_tokens: int, ended):
        """Greedy token ids after each cue; every step computes one token of every branch that goes on."""
        leaves = {cue: cue for cue in cues}
        ids = {cue: [row.argmax().item()] for cue, row in cues.items()}
        for _ in range(max_new_tokens - 1):
            open_cues = [
                cue
                for cue, row in ids.items()
                if row[-1] not in self.stop_tokens and not ended(self.tokenizer.decode(row, skip_special_tokens=True))
            ]
            if not open_cues:
                break
            nodes = [forest.tree.append(leaves[cue], ids[cue][-1]) for cue in open_cues]
            for cue, node, row in zip(open_cues, nodes, forest.grow(nodes), strict=True):
                leaves[cue] = node
                ids[cue].append(row.argmax().item())
        return ids.items()

    @functools.cached_property
    def stop_tokens(self) -> set[int]:
        """Ids that end the model's turn."""
        stops = self.network.generation_config.eos_token_id
        stops = stops if isinstance(stops, list) else [stops]
        return {self.tokenizer.eos_token_id, *stops} - {None}

    def _told(self, ask: Ask, cue: int, tail: list[int], nodes: list[int], logits: dict, written: dict) -> Told:
        if ask.n_options:
            letters = prompts.option_token_ids(self.tokenizer, ask.n_options)
            mass = logits[cue].softmax(-1)[letters].sum().item()
            return Told(None, True, logits[cue][letters].softmax(-1).tolist(), mass, None)
        p_reference = None
        if tail:
            before = torch.stack([logits[node] for node in (cue, *nodes)]).softmax(-1)
            p = before[range(len(tail)), tail].prod() * (1 - before[-1, self.digit_tokens].sum())
            p_reference = p.item()
        return Told(written[cue].text, written[cue].finished, [], None, p_reference)
