"""The hosted backend: an arm behind an OpenAI-compatible host, asked by calls (`calls`) or in batches (`batch.run`).

At the endpoint `completions` the prompt is the rendered conversation, and the model goes on in its own open turn,
as everywhere else in the study. `chat` has no open turn, so a chain is *told again*: it stands in a closed
assistant's turn, and another user's turn (templates `chat_answer`, `chat_continue`) asks for the answer or the rest
(Lanham et al. 2023, arXiv 2307.13702, ask for answers in this way). What a host is sent tells which, and ANSWERS
says so in `turn`.
"""

import bisect
import json
import math
from collections.abc import Callable, Iterator

from tqdm import tqdm

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.questions import LETTERS
from faithtune.extraction import extract
from faithtune.hosts import responses
from faithtune.hosts.calls import Request
from faithtune.hosts.host import Host
from faithtune.models import token_counts
from faithtune.models.backend import Answer, Completion, Query

ENGINE = "api-1"  # part of every row's key: raise it when a change here alters what a row holds

# Makes the calls: (index, response) of each request as it arrives, or what the host says against it.
Send = Callable[[list[Request]], Iterator[tuple[int, dict | UserError]]]


class ApiModel:
    """An arm at a host: a backend.Model.

    tokenizer: of completions, for its chat template and to count tokens; None: plain turns, and words are counted.
    templates: of chat, by name (`prompts.read`): chat_answer and chat_continue.
    """

    engine = ENGINE
    scores = False

    def __init__(self, host: Host, send: Send, tokenizer, templates: dict[str, str], seed: int = 0):
        self.host, self.send, self.tokenizer, self.templates, self.seed = host, send, tokenizer, templates, seed
        self.continues = host.endpoint == "completions"

    def render(self, user: str, assistant: str = "") -> str:
        """The request's prompt: text for completions, for chat its messages as JSON."""
        if self.continues:
            return prompts.render(self.tokenizer or prompts.PLAIN, user, assistant)
        return json.dumps(retold(user, assistant, self.templates), ensure_ascii=False)

    def prompt_key(self, text: str) -> str:
        """What a row's key says of the prompt: its text, as the host makes the tokens."""
        return text

    def count_tokens(self, text: str) -> int:
        """How many tokens the given tokenizer makes of `text`; without one, by its length."""
        if self.tokenizer is None:
            return token_counts.estimated(text)
        return len(prompts.token_ids(self.tokenizer, text))

    def packs(self, groups: list[list[str]]) -> Iterator[list[int]]:
        """All groups together: the host keeps what prompts have in common, or does not."""
        if groups:
            yield list(range(len(groups)))

    def generate(
        self, texts: list[str], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Completion]]:
        """Continue each text until the model ends its turn or `ended(new text)` holds; what it wrote after is cut."""
        for i, response in self._sent("generate", [self._body(text, max_new_tokens) for text in texts], keys):
            text, finished = responses.text(response), responses.is_finished(response)
            kept = self._up_to(text, ended)
            used = (response.get("usage") or {}).get("completion_tokens")
            if used is None or kept != text:
                used = self.count_tokens(kept) if kept else 0
            yield i, Completion(kept, used, finished or kept != text)

    def answer(
        self, asks: list[Query], max_new_tokens: int, ended: Callable[[str], bool], keys: list[str]
    ) -> Iterator[tuple[int, Answer]]:
        """Answer each ask.

        Letters have probabilities where the host gives those of the likeliest tokens: of completions at the first
        position, as everywhere in the study, of chat where the letter stands. Letters that are not among the
        likeliest have probability 0. Elsewhere letters are read from the text, as numbers are. The probability of a
        number is not to be had.
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
        """The same calls made once more: the noise floor of a host is that it does not always say the same."""
        return self.answer(asks, max_new_tokens, ended, keys)

    def _body(self, prompt: str, max_new_tokens: int) -> dict:
        return self.host.body(prompt if self.continues else json.loads(prompt), max_new_tokens, self.seed)

    def _sent(self, what: str, bodies: list[dict], keys: list[str]) -> Iterator[tuple[int, dict]]:
        """(index, response) of each body; raises what was said against some once all others have been given out."""
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
            raise UserError(f"{len(refused)} of {len(requests)} rows were not answered; the first: {refused[0]}")

    def _answer(self, ask: Query, response: dict, ended: Callable[[str], bool]) -> Answer:
        text, finished = responses.text(response), responses.is_finished(response)
        places = responses.places(response)
        if ask.n_options and self.continues and places:
            return _letters(places[0], ask.n_options)
        after = text.rpartition(prompts.CUE)[2] if not self.continues else text
        kept = self._up_to(after, ended)
        told = Answer(kept, finished or kept != after, [], None, None)
        if not (ask.n_options and places):
            return told
        span = extract.forced(kept, "choice", LETTERS[: ask.n_options]).span
        if span is None:
            return told
        place = _place_at(places, len(text) - len(after) + span[0])
        if place[0].strip(" (*") != kept[span[0] : span[1]]:  # an option's text
            return told
        letters = _letters(place, ask.n_options)
        return Answer(kept, told.finished, letters.probabilities, letters.option_mass, None)

    def _up_to(self, text: str, ended: Callable[[str], bool]) -> str:
        """`text` to where `ended` first holds: to a token's end, as a model asked here would have stopped."""
        if not ended(text):
            return text
        if self.tokenizer is None:
            cuts = [text[:n] for n in range(1, len(text) + 1)]
        else:
            ids = prompts.token_ids(self.tokenizer, text)
            cuts = [self.tokenizer.decode(ids[:n], skip_special_tokens=True) for n in range(1, len(ids) + 1)]
        return cuts[bisect.bisect_left(cuts, True, key=ended)]


def retold(user: str, assistant: str, templates: dict[str, str]) -> list[dict]:
    """Messages for a conversation whose assistant's turn is open, where turns are always closed.

    A turn that ends with the cue is asked for its answer, one that ends with a line end for its rest; what else
    begins a turn (a chain's first marker, the opening of a rewritten step) ends the user's turn.
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
    """A choice, read from the likeliest tokens at one place; all probabilities are 0 where none is a letter."""
    found = dict.fromkeys(LETTERS[:n_options], 0.0)
    for token, logprob in place[1]:
        if (letter := token.strip(" (*")) in found:
            found[letter] += math.exp(logprob)
    mass = min(1.0, sum(found.values()))
    probabilities = [p / mass if mass else 0.0 for p in found.values()]
    return Answer(None, True, probabilities, mass, None)


def _place_at(places: list[responses.Place], offset: int) -> responses.Place:
    """The token that the character at `offset` belongs to."""
    end = 0
    for place in places:
        end += len(place[0])
        if end > offset:
            return place
    return places[-1]
