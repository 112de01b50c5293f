"""The local backend: a network in memory (`loading`) that computes prompts in prefix trees (`tree_cache`)."""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from tqdm import tqdm

from faithtune.data import forms, prompts
from faithtune.data.prompts import USUAL
from faithtune.models import padded
from faithtune.models.backend import Answer, Completion, Query
from faithtune.models.decoding.draws import Draw
from faithtune.models.decoding.text import Decoding, choose_tokens
from faithtune.models.tree import SIGHTED, Blind, Tree
from faithtune.models.tree_cache import TreeCache, check_network

# Part of every row's key: raise it if a change here, or in the rules that end a text, changes what a row holds.
ENGINE = "4"


class LocalModel:
    """A backend.Model in memory.

    Args:
        load: returns the network; called when something must be computed.
        batch_size: texts decoded at a time by `generate`.
        max_packed_tokens: distinct tokens in the prefix tree, beyond which it is pruned. turns: of the model's card.
    """

    engine = ENGINE
    scores = continues = True

    def __init__(self, tokenizer, load: Callable, batch_size: int = 32, max_packed_tokens: int = 4096, turns=USUAL):
        self.tokenizer, self.load = tokenizer, load
        self.turns, self.form = turns, forms.form_of(turns)
        self.batch_size, self.max_packed_tokens = batch_size, max_packed_tokens
        self.cache = TreeCache(lambda: self.network)  # of the current memory group
        self.trunk: list[list[int]] = []  # token ids with which prompts of all memory groups begin
        self.trunk_paths: list[list[int]] = []  # the trunk's paths in the cache, once computed
        # The same prompt is tokenized for its key, its memory group and its answer.
        self._token_ids = functools.lru_cache(2048)(lambda text: tuple(prompts.token_ids(tokenizer, text)))

    @functools.cached_property
    def network(self):
        """The network, loaded at its first use. UserError if the tree cannot compute it."""
        network = self.load().eval()
        check_network(network)
        return network

    @functools.cached_property
    def digit_tokens(self) -> list[int]:
        """Ids of the tokens that begin with a digit: they continue a number, all others end it."""
        texts = self.tokenizer.batch_decode([[i] for i in range(len(self.tokenizer))])
        return [i for i, text in enumerate(texts) if text[:1].isdigit()]

    @functools.cached_property
    def stop_tokens(self) -> set[int]:
        """Ids that end the model's turn."""
        stops = self.network.generation_config.eos_token_id
        stops = stops if isinstance(stops, list) else [stops]
        return {self.tokenizer.eos_token_id, *stops} - {None}

    def render(self, user: str, assistant: str = "") -> str:
        """The conversation as a prompt, with the assistant's turn left open."""
        return prompts.render(self.tokenizer, user, assistant, self.turns)

    def token_ids(self, text: str) -> list[int]:
        """Token ids of rendered text."""
        return list(self._token_ids(text))

    prompt_key = token_ids

    def count_tokens(self, text: str) -> int:
        """The number of tokens of `text` by the model's own tokenizer."""
        return len(self.token_ids(text))

    @torch.inference_mode()
    def generate(
        self,
        texts: list[str],
        max_new_tokens: int,
        ended: Callable[[str], bool] = lambda text: False,
        keys: list[str] | None = None,
        draws: list[Draw] | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        """Continue each text, greedily or by its draw; yields (index, Completion) as each is finished.

        A text is finished at the end-of-turn token or once `ended(new text)` holds. `batch_size` texts are decoded at
        a time; when one ends, the next starts. Common prefixes are computed once, such as one prompt of many draws.
        """
        draws = draws or [None] * len(texts)
        ids = [self.token_ids(text) for text in texts]
        queue = sorted(range(len(ids)), key=lambda i: (len(ids[i]), -i))  # the longest is last: taken first
        cache, batch = TreeCache(lambda: self.network), []
        bar = tqdm(total=len(ids), unit="text", desc="generate", mininterval=5, disable=not ids)
        limit = self.max_packed_tokens
        while queue or batch:
            while queue and len(batch) < self.batch_size:
                index = queue.pop()
                path = cache.insert(ids[index], len(ids[index]) - 1)
                batch.append(Decoding(index, path, draw=draws[index]))
            chosen = choose_tokens(cache.forward([decoding.path[-1] for decoding in batch]), batch)
            for decoding, token in zip(batch, chosen, strict=True):
                decoding.written.append(token)
            for decoding in [decoding for decoding in batch if self._has_ended(decoding, max_new_tokens, ended)]:
                batch.remove(decoding)
                yield decoding.index, self._completion(decoding, ended)
                bar.update()
            if len(cache.tree) > limit:
                cache.prune([decoding.path for decoding in batch])
                limit = max(self.max_packed_tokens, 2 * len(cache.tree))
            for decoding in batch:
                decoding.path += cache.branch(decoding.path, [decoding.written[-1]])
        bar.close()

    def _has_ended(self, decoding: Decoding, max_new_tokens: int, ended: Callable[[str], bool]) -> bool:
        return (
            len(decoding.written) == max_new_tokens
            or decoding.written[-1] in self.stop_tokens
            or ended(self.tokenizer.decode(decoding.written, skip_special_tokens=True))
        )

    def _completion(self, decoding: Decoding, ended: Callable[[str], bool]) -> Completion:
        stopped = decoding.written[-1] in self.stop_tokens
        written = decoding.written[:-1] if stopped else decoding.written
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        return Completion(text, len(written), finished=stopped or ended(text))

    def memory_groups(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """Lists of indices of groups of prompts, in order: as many as fit into memory, at least one.

        Before each list is yielded, the cache drops everything but the trunk: the common prefixes of the first two
        groups. The trunk is computed in a pass of its own, so that the digits of a row do not depend on whether the
        groups before it are computed now or known from an earlier job.
        """
        self.cache = TreeCache(lambda: self.network)
        self.trunk, self.trunk_paths = self._common_prefixes(groups[:2]), []
        tree, together = Tree(), []
        for index, group in enumerate(groups):
            for text in group:
                tree.insert(self.token_ids(text))
            if together and len(tree) > self.max_packed_tokens:
                self.cache.prune(self.trunk_paths)
                yield together
                together, tree = [], Tree()
                for text in group:
                    tree.insert(self.token_ids(text))
            together.append(index)
        if together:
            self.cache.prune(self.trunk_paths)
            yield together

    def _common_prefixes(self, groups: list[list[str]]) -> list[list[int]]:
        """The prefixes, as token ids, that prompts of two groups share; none if there is only one group."""
        tree = Tree()
        for text in groups[0] if len(groups) == 2 else []:
            tree.insert(self.token_ids(text))
        prompts_of_last = map(self.token_ids, groups[-1] if groups else [])
        prefixes = {tuple(ids[: len(tree.known_prefix(ids))]) for ids in prompts_of_last}
        return sorted(map(list, prefixes - {()}))

    @torch.inference_mode()
    def answer(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query, reusing what its memory group has computed; yields (index, Answer) as each is finished.

        One pass computes all prompts and references in the prefix tree. Numbers are then decoded greedily, all
        branches together, as by `generate`. Once the first token of a draft has proved right, one pass computes the
        rest of the draft.
        """
        if not queries:
            return
        if self.trunk and not self.trunk_paths:
            self.trunk_paths = [self.cache.insert(tokens, len(tokens) - 1) for tokens in self.trunk]
            self.cache.forward([self.trunk_paths[-1][-1]])
        paths = [self._insert(query) for query in queries]
        logits = NodeLogits(self.cache, sorted({node for path in paths for node in path.reference}))
        decodings, numbers = {}, defaultdict(list)
        for i, path in enumerate(paths):
            if path.query.n_options:
                yield i, self.letter_answer(path.query, logits.at(path.prompt[-1]))
                continue
            cue = path.prompt[-1]
            numbers[cue].append(i)  # equal prompts have one text
            decodings[cue] = Decoding(cue, path.prompt.copy(), [], self._draft(path.query, ended), blind=path.blind)
        for decoding in self._decode(list(decodings.values()), logits, max_new_tokens, ended):
            for i in numbers[decoding.index]:
                yield i, self._number_answer(paths[i], logits, self._completion(decoding, ended))

    def answer_again(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query in another batch; `p_reference` is None.

        In 16 bits in padded batches (`padded`). In float32, where batching hardly matters, in a tree of these queries.
        """
        if not queries:
            return
        if self.network.dtype != torch.float32:
            yield from padded.answer(self, queries, max_new_tokens, ended)
            return
        queries = [dataclasses.replace(query, reference=None) for query in queries]
        for together in self.memory_groups([[query.prompt] for query in queries]):
            for place, answer in self.answer([queries[i] for i in together], max_new_tokens, ended):
                yield together[place], answer

    def _insert(self, query: Query) -> "QueryPath":
        """Insert a query's prompt and reference into the tree."""
        prompt = self.token_ids(query.prompt)
        tail, blind = self.tokens_after(query.prompt, query.reference and f" {query.reference}"), SIGHTED
        if cut := query.knock_out:
            seen = self.cache.insert(prompt[: cut.start], cut.start)
            blind = Blind(frozenset(seen[i] for i in cut.hidden), cut.layers and range(*cut.layers))
            path = seen + self.cache.branch(seen, prompt[cut.start :] + tail, blind)
        else:
            path = self.cache.insert(prompt + tail, len(prompt) - 1)
        return QueryPath(query, path[: len(prompt)], tail, path[len(prompt) - 1 :], blind)

    def _draft(self, query: Query, ended: Callable[[str], bool]) -> list[int]:
        draft = self.tokens_after(query.prompt, query.draft)
        return draft[:-1] if draft and ended(query.draft) else draft  # nothing is predicted after the last token

    def tokens_after(self, prompt: str, text: str | None) -> list[int]:
        """The tokens that `text` adds to a prompt; none if the tokenizer merges the two at the seam."""
        if text is None:
            return []
        before, whole = self.token_ids(prompt), self.token_ids(prompt + text)
        return whole[len(before) :] if whole[: len(before)] == before else []

    def _follow_known(
        self, decoding: Decoding, logits: "NodeLogits", max_new_tokens: int, ended: Callable[[str], bool]
    ) -> None:
        """Write the likeliest token, and further tokens while the tree has the node and its logits."""
        while True:
            decoding.written.append(logits.likeliest[decoding.path[-1]])
            node = self.cache.tree.children.get((decoding.path[-1], decoding.written[-1]))
            if node not in logits.likeliest or self._has_ended(decoding, max_new_tokens, ended):
                return
            decoding.path.append(node)

    def _decode(
        self, decodings: list[Decoding], logits: "NodeLogits", max_new_tokens: int, ended: Callable[[str], bool]
    ) -> Iterator[Decoding]:
        """Decode greedily until all texts have ended; one pass computes the next token and the draft of each."""
        while decodings:
            for decoding in decodings:
                self._follow_known(decoding, logits, max_new_tokens, ended)
            yield from (decoding for decoding in decodings if self._has_ended(decoding, max_new_tokens, ended))
            decodings = [decoding for decoding in decodings if not self._has_ended(decoding, max_new_tokens, ended)]
            if decodings:
                new = [self.cache.branch(text.path, text.next_tokens(max_new_tokens), text.blind) for text in decodings]
                logits = NodeLogits(self.cache, [node for nodes in new for node in nodes])
                for decoding, nodes in zip(decodings, new, strict=True):
                    decoding.path.append(nodes[0])

    def letter_answer(self, query: Query, logits: torch.Tensor) -> Answer:
        """The answer to a choice, from next-token logits, float32 (vocabulary,)."""
        ids = prompts.option_token_ids(self.tokenizer, query.n_options)
        return Answer(None, True, logits[ids].softmax(-1).tolist(), logits.softmax(-1)[ids].sum().item(), None)

    def _number_answer(self, path: "QueryPath", logits: "NodeLogits", completion: Completion) -> Answer:
        p_reference = None
        if path.tail:
            before = torch.stack([logits.at(node) for node in path.reference]).softmax(-1)
            p = before[range(len(path.tail)), path.tail].prod() * (1 - before[-1, self.digit_tokens].sum())
            p_reference = p.item()
        return Answer(completion.text, completion.finished, [], None, p_reference)


@dataclass(frozen=True)
class QueryPath:
    """A query in the tree."""

    query: Query
    prompt: list[int]  # nodes
    tail: list[int]  # tokens of the reference; none for a choice
    reference: list[int]  # nodes: the prompt's last, then the reference's
    blind: Blind = SIGHTED  # what the end of the prompt, and the answer, cannot see


class NodeLogits:
    """Next-token logits of `nodes`, which must be new; computes them."""

    def __init__(self, cache: TreeCache, nodes: list[int]):
        self.rows = {node: row for row, node in enumerate(nodes)}
        self.values = cache.forward(nodes)
        self.likeliest = dict(zip(nodes, self.values.argmax(-1).tolist(), strict=True))

    def at(self, node: int) -> torch.Tensor:
        """Logits of a node, float32 (vocabulary,)."""
        return self.values[self.rows[node]]
