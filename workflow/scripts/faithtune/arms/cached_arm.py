"""An arm with its rows: what it was asked before is looked up, and only the rest is computed."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from faithtune.arms.blocks import Block
from faithtune.arms.row_store import MemoryStore, row_key
from faithtune.data.forms import Form, ThinkingForm
from faithtune.extraction import steps, thinking
from faithtune.models.backend import Answer, Completion, Model, Query
from faithtune.models.decoding.draws import SAMPLER, Draw, derive_seed
from faithtune.settings.chains import SamplingSettings


@dataclass(frozen=True)
class EndRule:
    """When a text is finished. The name stands for the rule in row keys: one name, one rule."""

    name: str
    ended: Callable[[str], bool]


CHAIN = EndRule("chain", steps.chain_ended)
LINE = EndRule("line", steps.line_ended)


def end_of_chain(form: Form, start: str) -> EndRule:
    """When a chain is finished that begins with `start`, which stands in the prompt."""
    if isinstance(form, ThinkingForm):
        return EndRule(f"chain after {form.end}", lambda text: thinking.chain_ended(start + text, form))
    return EndRule(CHAIN.name, lambda text: CHAIN.ended(start + text))


def end_of_steps(form: Form) -> EndRule:
    """When the rest of a chain is finished, of which only the steps count."""
    return EndRule(form.end, lambda text: thinking.block_ended(text, form)) if isinstance(form, ThinkingForm) else CHAIN


class CachedArm:
    """A model and the rows that it has computed.

    rows: a RowStore, or a MemoryStore where nothing is to outlive the process.
    identity: what tells the arm's rows from every other arm's (`identity`).
    """

    def __init__(self, model: Model, rows: MemoryStore, identity: str):
        self.model, self.rows, self.identity = model, rows, identity

    def scoped_to(self, block: Block) -> "CachedArm":
        """The same arm with rows for this block alone, for prompts that several blocks may have in common.

        Shards are computed at the same time and cannot see each other's rows. With rows of its own a block computes
        the same prompts, hence the same digits, however a set is divided.
        """
        return CachedArm(self.model, self.rows, f"{self.identity}@{block.start}" if block.start else self.identity)

    def generate(self, prompts: list[str], max_new_tokens: int, end: EndRule) -> list[Completion]:
        """What the model writes after each prompt, until its turn or the text ends."""
        task = {"do": "generate", "max_new_tokens": max_new_tokens, "end": end.name}
        keys = [self._key(prompt, task) for prompt in prompts]

        def compute(missing: list[int]) -> Iterator[tuple[int, Completion]]:
            return self.model.generate(_pick(prompts, missing), max_new_tokens, end.ended, _pick(keys, missing))

        return [Completion(**row) for row in self._get_or_compute(keys, compute)]

    def sample(
        self, prompts: list[str], how: SamplingSettings, max_new_tokens: int, end: EndRule
    ) -> list[list[Completion]]:
        """`how.samples` texts after each prompt, drawn at a temperature; the model must have its weights here.

        A text's random numbers follow from the seed, the prompt and the number of the sample alone. So equal prompts
        have equal samples, and the first samples stay the same if more are drawn.
        """
        task = {"do": "generate", "max_new_tokens": max_new_tokens, "end": end.name, "sampler": SAMPLER}
        numbers = range(1, how.samples + 1)
        texts, keys, draws = [], [], []
        for prompt in prompts:
            seeds = [derive_seed(how.seed, self.model.prompt_key(prompt), number) for number in numbers]
            drawn = {"temperature": float(how.temperature), "seed": how.seed}
            texts += [prompt] * how.samples
            keys += [self._key(prompt, task | drawn | {"sample": number}) for number in numbers]
            draws += [Draw(drawn["temperature"], seed) for seed in seeds]

        def compute(missing: list[int]) -> Iterator[tuple[int, Completion]]:
            about = (_pick(values, missing) for values in (keys, draws))
            return self.model.generate(_pick(texts, missing), max_new_tokens, end.ended, *about)

        found = [Completion(**row) for row in self._get_or_compute(keys, compute)]
        return [found[i : i + how.samples] for i in range(0, len(found), how.samples)]

    def answer(self, queries: list[Query], max_new_tokens: int) -> list[Answer]:
        """The answer to each query; of a number at most `max_new_tokens` are written, on one line."""
        return self._answer("answer", self.model.answer, queries, max_new_tokens)

    def answer_again(self, queries: list[Query], max_new_tokens: int) -> list[Answer]:
        """The answer to each query, computed a second time and in another way (`Model.answer_again`)."""
        return self._answer("answer again", self.model.answer_again, queries, max_new_tokens)

    def first_tokens(self, prompts: list[str]) -> list[Answer]:
        """The token after each prompt with its probabilities (`ApiModel.first_tokens`); of a model at a host."""
        keys = [self._key(prompt, {"do": "first token"}) for prompt in prompts]

        def compute(missing: list[int]) -> Iterator[tuple[int, Answer]]:
            return self.model.first_tokens(_pick(prompts, missing), _pick(keys, missing))

        return [Answer(**row) for row in self._get_or_compute(keys, compute)]

    def commit(self) -> None:
        """What is computed together has been computed: its rows may be written."""
        self.rows.commit()

    def _answer(self, do: str, ask: Callable, queries: list[Query], max_new_tokens: int) -> list[Answer]:
        keys = [self._key(query.prompt, _answer_task(do, query, max_new_tokens)) for query in queries]

        def compute(missing: list[int]) -> Iterator[tuple[int, Answer]]:
            return ask(_pick(queries, missing), max_new_tokens, LINE.ended, _pick(keys, missing))

        return [Answer(**row) for row in self._get_or_compute(keys, compute)]

    def _key(self, prompt: str, task: dict) -> str:
        return row_key(self.identity, self.model.prompt_key(prompt), task, self.model.engine)

    def _get_or_compute(
        self, keys: list[str], compute: Callable[[list[int]], Iterator[tuple[int, Completion | Answer]]]
    ) -> list[dict]:
        """The rows of `keys`; `compute` gets the indices of the missing keys, and counts among these."""

        def values(missing: list[int]) -> Iterator[tuple[int, dict]]:
            for place, result in compute(missing):
                yield missing[place], vars(result)

        return self.rows.get_or_compute(keys, values)


def _answer_task(do: str, query: Query, max_new_tokens: int) -> dict:
    """What a row's key says of a query. A letter is one token, so its row does not depend on the limit."""
    kind = {"n_options": query.n_options} if query.n_options else {"max_new_tokens": max_new_tokens, "end": LINE.name}
    # Only options in another order have an owner (`answers.Trial.query`).
    owner = {"shuffled": query.owner} if query.owner else {}
    blind = {"knock_out": dataclasses.asdict(query.knock_out)} if query.knock_out else {}
    return {"do": do, "reference": query.reference, **kind, **owner, **blind}


def _pick(values: list, places: list[int]) -> list:
    return [values[place] for place in places]
