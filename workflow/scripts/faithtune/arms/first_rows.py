"""Whether an arm at a host is another model than its base: the first rows of both, compared.

A server that does not know an adapter's name may answer with the base. Then base and arm write the same chains, and
answer the same without a chain, with the same probabilities where the host gives them. The rows are those that the
stages need anyway, under the same keys: asking for them first costs nothing.

The exception are questions that ask for a number, whose answers the study reads without probabilities. Where the host
gives them, the first token of TOKENS of these answers is asked for beside them: a weakly tuned arm may write the same
texts.
"""

import itertools
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass

import polars as pl

from faithtune.arms import answers
from faithtune.arms.cached_arm import CachedArm
from faithtune.core.errors import UserError, warn
from faithtune.models.backend import Query

# How many questions get a chain, and how many an answer without one.
CHAINS, ANSWERS = 8, 32
# Of how many numbers the first token is asked for.
TOKENS = 8
# A server that computes several requests at once rounds differently from call to call: where no text differs, and no
# probabilities by more than this total variation, the arm may be base.
NOISE = 2e-3


@dataclass(frozen=True)
class FirstAnswer:
    """An answer without a chain."""

    answer: str | None  # a letter or a number; None if unanswered
    text: str | None  # what the arm wrote; None if a letter was read off probabilities
    probabilities: list[float]  # over the options; empty without log-probabilities


def answer(
    arm: CachedArm, questions: pl.DataFrame, templates: dict[str, str], max_new_tokens: int, min_option_mass: float
) -> list[FirstAnswer]:
    """The answers to questions (QUESTIONS) without a chain; the settings are those of `answers`."""
    rows = questions.to_dicts()
    asked = [Query(_prompt(arm, row, templates), len(row["options"])) for row in rows]
    replies = arm.answer(asked, max_new_tokens)
    return [
        FirstAnswer(answers.read(reply, row, None, min_option_mass).answer, reply.text, reply.probabilities)
        for row, reply in zip(rows, replies, strict=True)
    ]


def numbers(questions: pl.DataFrame, abilities: Collection[str]) -> pl.DataFrame:
    """The first of `questions` whose answer's first token is asked for; none at a host without log-probabilities."""
    return questions.filter(pl.col("kind") != "choice").head(TOKENS if "logprobs" in abilities else 0)


def tokens(arm: CachedArm, questions: pl.DataFrame, templates: dict[str, str]) -> list[dict]:
    """The first token of the answer to each question without a chain: {text, probabilities} of the likeliest ones."""
    replies = arm.first_tokens([_prompt(arm, row, templates) for row in questions.to_dicts()])
    return [{"text": reply.text, "probabilities": reply.probabilities} for reply in replies]


def _prompt(arm: CachedArm, question: dict, templates: dict[str, str]) -> str:
    return answers.prompt(arm.model, templates, question, "no_cot", "")


def contents(chains: Sequence[str], answered: Sequence[FirstAnswer], tokens: Sequence[dict] = ()) -> dict:
    """An arm's chains (texts), answers without a chain and first tokens as a JSON file holds them."""
    return {"chains": list(chains), "answers": [asdict(one) for one in answered], "tokens": list(tokens)}


def compare(where: str, host_model: str, own: dict, base: dict) -> dict:
    """How far an arm's `contents` are from base's; where: of the arm in the configuration; host_model: its name there.

    Returns chains, answers: how many; chains_changed, answers_changed: how many of them are others; answers_shift: mean
    total variation of the options' probabilities, None where there are none. UserError if nothing differs.
    """
    chains = [one != other for one, other in zip(own["chains"], base["chains"], strict=True)]
    pairs = list(zip(own["answers"], base["answers"], strict=True))
    shifts, token_shifts = _shifts(pairs), _shifts(zip(own["tokens"], base["tokens"], strict=True))
    said = [*pairs, *zip(own["tokens"], base["tokens"], strict=True)]
    same_texts = not any(chains) and all(_texts(one) == _texts(other) for one, other in said)
    known, largest = [*shifts, *token_shifts], max([*shifts, *token_shifts], default=0)
    if same_texts and largest == 0:
        texts = [*own["chains"], *(one["text"] for one, _ in pairs)]
        by = "with the same probabilities" if known else "as texts, because the host gives no log-probabilities"
        if not known and not any(texts):
            by = "because the host gives neither texts nor log-probabilities"
        raise UserError(
            f"{where} is base again: its first {len(chains)} chains and {len(pairs)} answers without a chain are the"
            f" same, {by}; look whether the host serves {host_model!r} with the tuned weights (a server that does not"
            " know an adapter may answer with its base)"
        )
    if same_texts and largest <= NOISE:
        warn(
            f"{where} writes what base writes, and no probability of its first answers is more than {largest:.2g} from"
            f" base's, which a server's rounding may be; look whether the host serves {host_model!r} with the tuned"
            " weights"
        )
    return {
        "chains": len(chains),
        "chains_changed": sum(chains),
        "answers": len(pairs),
        "answers_changed": sum(one["answer"] != other["answer"] for one, other in pairs),
        "answers_shift": sum(shifts) / len(shifts) if shifts else None,
    }


def _shifts(pairs: Iterable[tuple[dict, dict]]) -> list[float]:
    """The total variation of each two lists of probabilities that are both there."""
    return [
        sum(abs(p - q) for p, q in itertools.zip_longest(one["probabilities"], other["probabilities"], fillvalue=0)) / 2
        for one, other in pairs
        if one["probabilities"] and other["probabilities"]
    ]


def _texts(said: dict) -> dict:
    return {name: value for name, value in said.items() if name != "probabilities"}
