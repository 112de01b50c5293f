"""The local backend: an arm in memory (`loading`), asked in prefix trees (`tree_cache`)."""

import dataclasses
import functools
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import torch
from tqdm import tqdm

from faithtune.data import prompts
from faithtune.models import padded
from faithtune.models.backend import Answer, Completion, Query
from faithtune.models.tree import Tree
from faithtune.models.tree_cache import Forest, check

# Part of every row's key: raise it when a change here, or of the rules that end a text, changes what a row holds.
ENGINE = "4"


@dataclass
class Decoding:
    """A text in the making: the path of its prompt and what was written so far, both growing."""

    index: int  # of its query or text, or the node of its cue
    path: list[int]
    written: list[int] = field(default_factory=list)
    draft: list[int] = field(default_factory=list)  # what is probably written, from the first token on

    def expected(self, most: int) -> list[int]:
        """What comes next, surely and then probably: the last token written, and the draft while it holds."""
        n = len(self.written)
        return [self.written[-1], *(self.draft[n : most - 1] if self.written == self.draft[:n] else [])]


class LocalModel:
    """An arm in memory: a backend.Model."""

    engine = ENGINE
    scores = continues = True

    def __init__(self, tokenizer, load: Callable, batch_size: int = 32, max_packed_tokens: int = 4096):
        self.tokenizer = tokenizer
        self.load = load
        self.batch_size = batch_size
        self.max_packed_tokens = max_packed_tokens
        self.forest = Forest(lambda: self.network)  # what the answers of a pack have computed together
        self.trunk: list[list[int]] = []  # beginnings of prompts that packs have in common, as token ids
        self.kept: list[list[int]] = []  # their paths in the forest, once they are computed
        # A prompt is looked at for its key, its pack and its answer.
        self._token_ids = functools.lru_cache(2048)(lambda text: tuple(prompts.token_ids(tokenizer, text)))

    @functools.cached_property
    def network(self):
        """The network, loaded when something is to be computed."""
        network = self.load().eval()
        check(network)
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
        """The conversation as the model sees it, the assistant's turn left open."""
        return prompts.render(self.tokenizer, user, assistant)

    def token_ids(self, text: str) -> list[int]:
        """Token ids of rendered text."""
        return list(self._token_ids(text))

    prompt_key = token_ids

    def count_tokens(self, text: str) -> int:
        """How many tokens the model's own tokenizer makes of `text`."""
        return len(self.token_ids(text))

    @torch.inference_mode()
    def generate(
        self,
        texts: list[str],
        max_new_tokens: int,
        ended: Callable[[str], bool] = lambda text: False,
        keys: list[str] | None = None,
    ) -> Iterator[tuple[int, Completion]]:
        """Continue each text greedily; yields (index, Completion) as each is finished.

        A text is finished at the end-of-turn token or once `ended(new text)` holds.
        `batch_size` texts are written at a time, and where one ends the next
        begins; what texts begin with in common is computed once.
        """
        ids = [self.token_ids(text) for text in texts]
        queue = sorted(range(len(ids)), key=lambda i: (len(ids[i]), -i))  # the longest is last: taken first
        woods, batch = Forest(lambda: self.network), []
        bar = tqdm(total=len(ids), unit="text", desc="generate", mininterval=5, disable=not ids)
        limit = self.max_packed_tokens
        while queue or batch:
            while queue and len(batch) < self.batch_size:
                index = queue.pop()
                batch.append(Decoding(index, woods.lay(ids[index], len(ids[index]) - 1)))
            chosen = woods.grow([one.path[-1] for one in batch]).argmax(-1).tolist()
            for one, token in zip(batch, chosen, strict=True):
                one.written.append(token)
            for one in [one for one in batch if self._ended(one, max_new_tokens, ended)]:
                batch.remove(one)
                yield one.index, self._completion(one, ended)
                bar.update()
            if len(woods.tree) > limit:
                woods.prune([one.path for one in batch])
                limit = max(self.max_packed_tokens, 2 * len(woods.tree))
            for one in batch:
                one.path += woods.append(one.path, [one.written[-1]])
        bar.close()

    def _ended(self, one: Decoding, max_new_tokens: int, ended: Callable[[str], bool]) -> bool:
        return (
            len(one.written) == max_new_tokens
            or one.written[-1] in self.stop_tokens
            or ended(self.tokenizer.decode(one.written, skip_special_tokens=True))
        )

    def _completion(self, one: Decoding, ended: Callable[[str], bool]) -> Completion:
        stopped = one.written[-1] in self.stop_tokens
        kept = one.written[:-1] if stopped else one.written
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Completion(text, len(kept), finished=stopped or ended(text))

    def packs(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """Indices of groups of prompts, in order: as many together as the memory holds, but one at least.

        What a pack computed is forgotten before the next is given out, but for the trunk: what the prompts of the
        first two groups begin with in common. It is computed by itself, so that a pack has the same digits whether
        those before it are computed now or known from an earlier job.
        """
        self.forest = Forest(lambda: self.network)
        self.trunk, self.kept = self._shared(groups[:2]), []
        tree, pack = Tree(), []
        for index, group in enumerate(groups):
            for text in group:
                tree.insert(self.token_ids(text))
            if pack and len(tree) > self.max_packed_tokens:
                yield self._open(pack)
                pack, tree = [], Tree()
                for text in group:
                    tree.insert(self.token_ids(text))
            pack.append(index)
        if pack:
            yield self._open(pack)

    def _shared(self, groups: list[list[str]]) -> list[list[int]]:
        """The token ids with which prompts of two groups begin in common; nothing of one group."""
        tree = Tree()
        for text in groups[0] if len(groups) == 2 else []:
            tree.insert(self.token_ids(text))
        begun = {tuple(ids[: len(tree.known(ids))]) for ids in map(self.token_ids, groups[-1] if groups else [])}
        return sorted(map(list, begun - {()}))

    def _open(self, pack: list[int]) -> list[int]:
        self.forest.prune(self.kept)
        return pack

    @torch.inference_mode()
    def answer(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query, with what its pack has computed before; yields (index, Answer) as each is finished.

        All prompts and references are laid into the prefix tree and computed in one
        pass. Numbers are then written greedily, all branches of the tree together,
        as `generate` would write them; what a draft foretells is computed in one
        pass too, once its first token has come true.
        """
        if not queries:
            return
        if self.trunk and not self.kept:
            self.kept = [self.forest.lay(tokens, len(tokens) - 1) for tokens in self.trunk]
            self.forest.grow([self.kept[-1][-1]])
        branches = [self._lay(query) for query in queries]
        logits = Logits(self.forest, sorted({node for branch in branches for node in branch.reference}))
        decodings, numbers = {}, defaultdict(list)
        for i, branch in enumerate(branches):
            if branch.query.n_options:
                yield i, self.letters(branch.query, logits.at(branch.path[-1]))
                continue
            cue = branch.path[-1]
            numbers[cue].append(i)  # equal prompts have one text
            decodings[cue] = Decoding(cue, branch.path.copy(), [], self._draft(branch.query, ended))
        for one in self._write(list(decodings.values()), logits, max_new_tokens, ended):
            for i in numbers[one.index]:
                yield i, self._number(branches[i], logits, self._completion(one, ended))

    def answer_again(
        self, queries: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str] | None = None
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query in another batch, `p_reference` null.

        In 16 bits by itself, padded (`padded`). In float32, where a batch hardly matters, in a tree of these alone.
        """
        if not queries:
            return
        if self.network.dtype != torch.float32:
            yield from padded.answer(self, queries, max_new_tokens, ended)
            return
        bare = [dataclasses.replace(query, reference=None) for query in queries]
        for pack in self.packs([[query.prompt] for query in bare]):
            for place, told in self.answer([bare[i] for i in pack], max_new_tokens, ended):
                yield pack[place], told

    def _lay(self, query: Query) -> "Branch":
        """Lay a query's prompt and reference into the tree."""
        prompt = self.token_ids(query.prompt)
        tail = self._tail(query.prompt, query.reference and f" {query.reference}")
        path = self.forest.lay(prompt + tail, len(prompt) - 1)
        return Branch(query, path[: len(prompt)], tail, path[len(prompt) - 1 :])

    def _draft(self, query: Query, ended: Callable[[str], bool]) -> list[int]:
        draft = self._tail(query.prompt, query.draft)
        return draft[:-1] if draft and ended(query.draft) else draft  # after its last token nothing is asked

    def _tail(self, prompt: str, text: str | None) -> list[int]:
        """Tokens that `text` adds to a prompt; none where the tokenizer joins them with the prompt's."""
        if text is None:
            return []
        before, whole = self.token_ids(prompt), self.token_ids(prompt + text)
        return whole[len(before) :] if whole[: len(before)] == before else []

    def _read_on(self, one: Decoding, logits: "Logits", max_new_tokens: int, ended: Callable[[str], bool]) -> None:
        """Write along nodes whose logits are known: the likeliest token of the last, and so on."""
        while True:
            one.written.append(logits.likeliest[one.path[-1]])
            node = self.forest.tree.children.get((one.path[-1], one.written[-1]))
            if node not in logits.likeliest or self._ended(one, max_new_tokens, ended):
                return
            one.path.append(node)

    def _write(
        self, decodings: list[Decoding], logits: "Logits", max_new_tokens: int, ended: Callable[[str], bool]
    ) -> Iterator[Decoding]:
        """Write greedily until all are ended; a pass computes the next token of each, and what its draft foretells."""
        while decodings:
            for one in decodings:
                self._read_on(one, logits, max_new_tokens, ended)
            yield from (one for one in decodings if self._ended(one, max_new_tokens, ended))
            decodings = [one for one in decodings if not self._ended(one, max_new_tokens, ended)]
            if decodings:
                laid = [self.forest.append(one.path, one.expected(max_new_tokens)) for one in decodings]
                logits = Logits(self.forest, [node for nodes in laid for node in nodes])
                for one, nodes in zip(decodings, laid, strict=True):
                    one.path.append(nodes[0])

    def letters(self, query: Query, logits: torch.Tensor) -> Answer:
        """A choice, read from next-token logits, float32 (vocabulary,)."""
        ids = prompts.option_token_ids(self.tokenizer, query.n_options)
        return Answer(None, True, logits[ids].softmax(-1).tolist(), logits.softmax(-1)[ids].sum().item(), None)

    def _number(self, branch: "Branch", logits: "Logits", made: Completion) -> Answer:
        p_reference = None
        if branch.tail:
            before = torch.stack([logits.at(node) for node in branch.reference]).softmax(-1)
            p = before[range(len(branch.tail)), branch.tail].prod() * (1 - before[-1, self.digit_tokens].sum())
            p_reference = p.item()
        return Answer(made.text, made.finished, [], None, p_reference)


@dataclass(frozen=True)
class Branch:
    """A query in the tree."""

    query: Query
    path: list[int]  # of its prompt
    tail: list[int]  # tokens of the reference; none for a choice
    reference: list[int]  # nodes of the cue and the reference


class Logits:
    """Next-token logits at the nodes where they are wanted."""

    def __init__(self, forest: Forest, nodes: list[int]):
        self.rows = {node: row for row, node in enumerate(nodes)}
        self.values = forest.grow(nodes)
        self.likeliest = dict(zip(nodes, self.values.argmax(-1).tolist(), strict=True))

    def at(self, node: int) -> torch.Tensor:
        """float32 (vocabulary,)."""
        return self.values[self.rows[node]]
