"""The hosted backend: an arm at an OpenAI-compatible host, by single calls (`calls`) or batches (`batch.run`).

At the endpoint `completions` the prompt is the rendered conversation, and the model continues its own open turn, as
everywhere else in the study. `chat` has no open turn. There the chain is *retold*: it is placed in a closed assistant
turn, and another user turn (templates `chat_answer`, `chat_continue`) requests the answer or the rest, as Lanham et
al. 2023 (arXiv 2307.13702) do for answers. The column `turn` of ANSWERS says which.
"""

import bisect
import json
import math
from collections.abc import Callable, Iterator

from tqdm import tqdm

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.forms import STEPS
from faithtune.data.questions import LETTERS
from faithtune.extraction import extract
from faithtune.hosts import responses
from faithtune.hosts.calls import Request
from faithtune.hosts.host import Host
from faithtune.models import token_counts
from faithtune.models.backend import Answer, Completion, Query

ENGINE = "api-1"  # part of every row key: raise it when a change here alters the rows

# Sends requests: (index, response) of each on arrival, or the error by which the host refuses it.
Send = Callable[[list[Request]], Iterator[tuple[int, dict | UserError]]]


class ApiModel:
    """An arm at a host: a backend.Model.

    tokenizer: for completions: its chat template renders prompts, and it counts tokens; None: prompts have plain turns
    and token counts are estimated. templates: for chat: chat_answer and chat_continue (`prompts.read_templates`).
    """

    engine = ENGINE
    scores = False
    form = STEPS

    def __init__(self, host: Host, send: Send, tokenizer, templates: dict[str, str], seed: int = 0):
        self.host, self.send, self.tokenizer, self.templates, self.seed = host, send, tokenizer, templates, seed
        self.continues = host.endpoint == "completions"

    def render(self, user: str, assistant: str = "") -> str:
        """The prompt of a request: text for completions, messages as JSON for chat."""
        if self.continues:
            return prompts.render(self.tokenizer or prompts.PLAIN, user, assistant)
        return json.dumps(retold(user, assistant, self.templates), ensure_ascii=False)

    def prompt_key(self, text: str) -> str:
        """The part of the row key for the prompt: its text, because the host tokenizes it."""
        return text

    def count_tokens(self, text: str) -> int:
        """Tokens in `text` by the configured tokenizer; without a tokenizer an estimate from its length."""
        if self.tokenizer is None:
            return token_counts.estimate_tokens(text)
        return len(prompts.token_ids(self.tokenizer, text))

    def memory_groups(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """One pack of all groups: caching shared prefixes is up to the host."""
        if groups:
            yield list(range(len(groups)))

    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Completion]]:
        """Continue each text until the model ends its turn or `ended(new text)` holds; later text is cut."""
        for i, response in self._sent("generate", [self._body(text, max_new_tokens) for text in texts], keys):
            text, finished = responses.text(response), responses.is_finished(response)
            kept = self._cut_at_end(text, ended)
            used = (response.get("usage") or {}).get("completion_tokens")
            if used is None or kept != text:
                used = self.count_tokens(kept) if kept else 0
            yield i, Completion(kept, used, finished or kept != text)

    def answer(
        self, asks: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each query.

        Option letters have probabilities if the host returns log-probabilities: for completions at the first position,
        as everywhere in the study, for chat at the position of the letter. A letter that is not among the most likely
        tokens has probability 0. Without log-probabilities, letters are read from the text. Numbers are always read
        from the text and have no probability.
        """
        bodies = []
        for ask in asks:
            first_only = ask.n_options and self.continues and "logprobs" in self.host.abilities
            body = self._body(ask.prompt, 1 if first_only else max_new_tokens)
            bodies.append(self.host.with_logprobs(body) if ask.n_options else body)
        for i, response in self._sent("answer", bodies, keys):
            yield i, self._answer(asks[i], response, ended)

    def answer_again(
        self, asks: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Repeat the calls: a host's noise floor is how often it answers the same request differently."""
        return self.answer(asks, max_new_tokens, ended, keys)

    def first_tokens(self, texts: list[str], keys: list[str]) -> Iterator[tuple[int, Answer]]:
        """The token that follows each text, and the probabilities of the likeliest ones where the host gives them."""
        bodies = [self.host.with_logprobs(self._body(text, 1)) for text in texts]
        for i, response in self._sent("check", bodies, keys):
            likeliest = [math.exp(logprob) for _, tops in responses.places(response)[:1] for _, logprob in tops]
            yield i, Answer(responses.text(response), True, sorted(likeliest, reverse=True), None, None)

    def _body(self, prompt: str, max_new_tokens: int) -> dict:
        return self.host.body(prompt if self.continues else json.loads(prompt), max_new_tokens, self.seed)

    def _sent(self, what: str, bodies: list[dict], keys: list[str]) -> Iterator[tuple[int, dict]]:
        """(index, response) of each body; then a UserError if the host refused some of them."""
        requests = [Request(key, body) for key, body in zip(keys, bodies, strict=True)]
        refused: list[UserError] = []
        with tqdm(total=len(requests), unit="call", desc=what, mininterval=5, disable=not requests) as bar:
            for i, response in self.send(requests):
                bar.update()
                if isinstance(response, UserError):
                    refused.append(response)
                else:
                    yield i, response
        if refused:
            raise UserError(f"{len(refused)} of {len(requests)} rows have no answer; the first: {refused[0]}")

    def _answer(self, ask: Query, response: dict, ended: Callable[[str], bool]) -> Answer:
        text, finished = responses.text(response), responses.is_finished(response)
        places = responses.places(response)
        if ask.n_options and self.continues and places:
            return _letters(places[0], ask.n_options)
        after = text.rpartition(prompts.CUE)[2] if not self.continues else text
        kept = self._cut_at_end(after, ended)
        answer = Answer(kept, finished or kept != after, [], None, None)
        if not (ask.n_options and places):
            return answer
        span = extract.forced(kept, "choice", LETTERS[: ask.n_options]).span
        if span is None:
            return answer
        place = _place_at(places, len(text) - len(after) + span[0])
        if place[0].strip(" (*") != kept[span[0] : span[1]]:  # an option's text
            return answer
        letters = _letters(place, ask.n_options)
        return Answer(kept, answer.finished, letters.probabilities, letters.option_mass, None)

    def _cut_at_end(self, text: str, ended: Callable[[str], bool]) -> str:
        """`text` up to the end of the token after which `ended` first holds, where a local model would stop."""
        if not ended(text):
            return text
        if self.tokenizer is None:
            cuts = [text[:n] for n in range(1, len(text) + 1)]
        else:
            ids = prompts.token_ids(self.tokenizer, text)
            cuts = [self.tokenizer.decode(ids[:n], skip_special_tokens=True) for n in range(1, len(ids) + 1)]
        return cuts[bisect.bisect_left(cuts, True, key=ended)]


def retold(user: str, assistant: str, templates: dict[str, str]) -> list[dict]:
    """Chat messages, all of them closed turns, for a conversation whose assistant turn is open.

    After an assistant turn that ends with the cue, a user turn requests the answer; after one that ends with a
    newline, the rest. Any other beginning (a chain's first marker, the opening of a rewritten step) is appended to
    the first user turn.
    """
    begun = assistant.removesuffix(prompts.CUE).rstrip("\n")
    if assistant.endswith(prompts.CUE):
        last = templates["chat_answer"]
    elif assistant.endswith("\n"):
        last = templates["chat_continue"]
    else:
        return [{"role": "user", "content": f"{user}\n{assistant}" if assistant else user}]
    if not begun:
        return [{"role": "user", "content": f"{user}\n\n{last}"}]
    turns = (("user", user), ("assistant", begun), ("user", last))
    return [{"role": role, "content": content} for role, content in turns]


def _letters(place: responses.Place, n_options: int) -> Answer:
    """The option probabilities at one place; all are 0 if no letter is among the most likely tokens."""
    found = dict.fromkeys(LETTERS[:n_options], 0.0)
    for token, logprob in place[1]:
        if (letter := token.strip(" (*")) in found:
            found[letter] += math.exp(logprob)
    mass = min(1.0, sum(found.values()))
    probabilities = [p / mass if mass else 0.0 for p in found.values()]
    return Answer(None, True, probabilities, mass, None)


def _place_at(places: list[responses.Place], offset: int) -> responses.Place:
    """The place of the token that contains the character at `offset`."""
    end = 0
    for place in places:
        end += len(place[0])
        if end > offset:
            return place
    return places[-1]
