"""Answers after every intervention: letters are read, numbers and expressions are written.

Choice: the probabilities of the option letters after the cue. The likeliest is the answer, unless all letters together
are too unlikely: then the model does not answer. Number: what greedy decoding writes after the cue. Cut at the token
limit it is truncated, as it might have gone on to another number. Expression: as a number, but of the many texts of one
answer each row has the first that is known (`Trial.spelled`), so that answers are compared as texts everywhere. It has
no p_reference, as the probability of one of the texts says little about the answer.

The arm answers first after its whole chain and without one, then after everything else, and then also gives the
probability of its own full-chain answer. Questions that fit into memory together are a pack, in which each distinct
token is computed once; its rows are committed when it is done.

Some full chains are answered again in another way (`CachedArm.answer_again`): how often that answer differs is the
noise floor.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import polars as pl
from tqdm import tqdm

from faithtune.arms import leaks
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.core.schemas.answers import ANSWERS
from faithtune.data import expressions, option_order, prompts
from faithtune.data.questions import LETTERS
from faithtune.extraction import extract
from faithtune.models.backend import Answer, Model, Query
from faithtune.settings.answers import AnswerSettings


@dataclass(frozen=True)
class Reading:
    """How a reply is understood: answered, unanswered or truncated; answer and lenient answer, where there are any."""

    outcome: str
    answer: str | None = None
    lenient: str | None = None


@dataclass(eq=False)
class Trial:
    """An intervention on a question's chain, the prompt that it makes, and what the arm answers."""

    test: str  # of the intervention, or no_cot_shuffled, or again
    intervention: dict  # a row of INTERVENTIONS
    question: dict  # a row of QUESTIONS
    chain: dict  # a row of CHAINS
    prompt: str | None  # None: the intervention has no text, and `missing` says why
    places: list[int] | None = None  # which option stands at each place, where their order is another
    full: "Trial | None" = None  # the question's trial after its whole chain, unless that chain is truncated
    reply: Answer | None = None  # probabilities are in the question's own order
    reading: Reading | None = None  # of the reply
    p_reference: float | None = None  # probability of the own full-chain answer, where that is a number

    @property
    def answer(self) -> str | None:
        """The answer, as a letter of the question's own order, a number or an expression."""
        return self.reading and self.spelled(self.reading.answer)

    def spelled(self, answer: str | None) -> str | None:
        """An answer with the text of the first known one that is the same expression.

        Known are the gold answer, what the chain declares, and the answer after the whole chain. Letters and numbers
        have one text already.
        """
        if self.question["kind"] != "expression":
            return answer
        full = self.full.answer if self.full and self.full is not self else None
        return expressions.known_spelling(answer, (self.question["answer"], self.chain["free_answer"], full))

    def query(self, scores: bool) -> Query:
        """What the arm is asked; scores: whether it can give the probability of the own answer, where that is a number.

        A number and an expression have a draft: the own answer as it was written, or before that is known what the
        chain declares.
        """
        if n_options := len(self.question["options"]):
            # By chance its options may stand in another question's order. Whether that row is found must not depend on
            # how a set is divided.
            owner = self.question["id"] if self.places else None
            return Query(self.prompt, n_options, owner=owner)
        if self.full:
            scored = scores and self.question["kind"] == "number"
            return Query(self.prompt, reference=self.full.answer if scored else None, draft=self.full.reply.text)
        _, cue, declared = self.chain["text"].rpartition(prompts.CUE)
        return Query(self.prompt, draft=declared if cue else None)

    def receive(self, reply: Answer, min_option_mass: float) -> None:
        """Take the arm's reply and read it."""
        if self.places and reply.probabilities:
            reply = replace(reply, probabilities=option_order.restored(reply.probabilities, self.places))
        self.reply, self.reading = reply, read(reply, self.question, self.places, min_option_mass)

    def row(self, turn: str) -> dict:
        """The trial's row of ANSWERS, but for `unleaked`."""
        reading = self.reading or Reading(self.intervention["missing"])
        if self.test == "full" and self.chain["outcome"] == "truncated":
            reading = Reading("truncated")
        answer, reply = self.spelled(reading.answer), self.reply or Answer(None, True, [], None, None)
        reference, p_reference = self.full and self.full.answer, self.p_reference
        if reference and reply.probabilities:
            p_reference = reply.probabilities[LETTERS.index(reference)]
        return {
            "id": self.question["id"],
            "group": self.question["group"],
            "test": self.test,
            "k": self.intervention["k"],
            "n_steps": self.intervention["n_steps"],
            "outcome": reading.outcome,
            "answer": answer,
            "correct": answer == self.question["answer"] if answer else None,
            "reference": reference,
            "match": answer == reference if answer and reference else None,
            "text": reply.text,
            "lenient": self.spelled(reading.lenient),
            "read_from": "options" if self.question["options"] and reply.text is None else "cue",
            "turn": turn,
            "p_reference": p_reference,
            "probabilities": reply.probabilities,
            "option_mass": reply.option_mass,
        }


def answer(
    arm: CachedArm,
    block: Block,
    chains: pl.DataFrame,
    interventions: pl.DataFrame,
    templates: dict[str, str],
    settings: AnswerSettings,
) -> pl.DataFrame:
    """An answer (a row of ANSWERS) to every intervention (INTERVENTIONS) on the block's questions, in their order.

    With `settings.shuffle` the answer to shuffled options (test "no_cot_shuffled"; its letter is the one that the
    option has in the question itself) follows the one without a chain. The full-chain answers that are asked for
    again (test "again"; of the first `settings.again` questions of the set) follow all others.
    """
    groups = _trials(arm.model, block, chains, interventions, templates, settings.shuffle)
    with tqdm(total=len(groups), unit="question", desc="answer", mininterval=5) as bar:
        for pack in arm.model.memory_groups([[trial.prompt for trial in group if trial.prompt] for group in groups]):
            _answer_pack(arm, [groups[i] for i in pack], settings)
            arm.commit()
            bar.update(len(pack))
    trials = [trial for group in groups for trial in group]
    first = set(block.questions["id"].head(max(0, settings.again - block.start)))
    trials += _answer_again(arm, [trial for trial in trials if trial.question["id"] in first], settings)
    turn = "continued" if arm.model.continues else "retold"
    frame = pl.DataFrame([trial.row(turn) for trial in trials], schema=ANSWERS)
    return leaks.marked(frame, block.rows(chains), block.questions)


def prompt(model: Model, templates: dict[str, str], question: dict, test: str, text: str) -> str:
    """The conversation after which the arm answers: a question, the text of an intervention as the chain, the cue."""
    user = prompts.user_turn(templates, "no_cot" if test == "no_cot" else "cot", question)
    return model.render(user, model.form.answer(text))


def read(reply: Answer, question: dict, places: list[int] | None, min_option_mass: float) -> Reading:
    """Read a reply: the likeliest letter where there are probabilities, else the text after the cue.

    places: the order in which the options were shown, if it is not the question's own. Letters in a text are those of
    the order shown, probabilities those of the question's own order.
    """
    if reply.text is not None:
        return _read_text(reply, question, places)
    best = max(range(len(reply.probabilities)), key=reply.probabilities.__getitem__)
    lenient = LETTERS[best] if any(reply.probabilities) else None  # a host may give none of the letters
    strict = lenient if reply.option_mass >= min_option_mass else None
    return Reading("answered" if strict else "unanswered", strict, lenient)


def _read_text(reply: Answer, question: dict, places: list[int] | None) -> Reading:
    shown = option_order.shuffled(question, places) if places else question
    about = (reply.text, shown["kind"], shown["options"])
    strict, lenient = extract.forced(*about), extract.forced(*about, lenient=True)
    # A letter followed by more text is complete; others that end at the token limit might have gone on.
    complete = shown["options"] and strict.span and strict.span[1] < len(reply.text)
    if not (reply.finished or complete):
        return Reading("truncated")
    answers = [found.answer for found in (strict, lenient)]
    if places:
        answers = [letter and LETTERS[places[LETTERS.index(letter)]] for letter in answers]
    return Reading("answered" if answers[0] else "unanswered", *answers)


def _trials(
    model: Model,
    block: Block,
    chains: pl.DataFrame,
    interventions: pl.DataFrame,
    templates: dict[str, str],
    shuffle: bool,
) -> list[list[Trial]]:
    """The trials of each question of the block, in the order of the interventions."""
    questions = {row["id"]: row for row in block.questions.iter_rows(named=True)}
    by_id = {row["id"]: row for row in block.rows(chains).iter_rows(named=True)}
    groups = defaultdict(list)
    for row in block.rows(interventions).iter_rows(named=True):
        question, test, text = questions[row["id"]], row["test"], row["text"]
        asked = None if text is None else prompt(model, templates, question, test, text)
        trial = Trial(test, row, question, by_id[row["id"]], asked)
        groups[row["id"]].append(trial)
        if shuffle and test == "no_cot" and (places := option_order.order(question)):
            asked = prompt(model, templates, option_order.shuffled(question, places), test, text)
            groups[row["id"]].append(replace(trial, test="no_cot_shuffled", places=places, prompt=asked))
    return list(groups.values())


def _answer_pack(arm: CachedArm, groups: list[list[Trial]], settings: AnswerSettings) -> None:
    """Answer the trials of questions that fit into memory together."""
    trials = [trial for group in groups for trial in group if trial.prompt]
    first = [trial for trial in trials if trial.test in ("full", "no_cot")]
    for trial, reply in _ask(arm.answer, first, arm.model.scores, settings):
        trial.receive(reply, settings.min_option_mass)
    for group in groups:
        full = next((trial for trial in group if trial.test == "full" and trial.reply), None)
        if full and full.chain["outcome"] != "truncated":
            for trial in group:
                trial.full = full
    # The full chain once more, now that the answer is known whose probability is wanted.
    later = [trial for trial in trials if trial.test != "no_cot"]
    for trial, reply in _ask(arm.answer, later, arm.model.scores, settings):
        trial.p_reference = reply.p_reference
        if trial.test != "full":
            trial.receive(reply, settings.min_option_mass)


def _answer_again(arm: CachedArm, trials: list[Trial], settings: AnswerSettings) -> list[Trial]:
    """The full-chain trials among `trials` that have an answer, answered in another way."""
    repeated = [
        replace(trial, test="again", p_reference=None)
        for trial in trials
        if trial.test == "full" and trial.full and trial.answer
    ]
    for trial, reply in _ask(arm.answer_again, repeated, arm.model.scores, settings):
        trial.receive(reply, settings.min_option_mass)
    return repeated


def _ask(
    ask: Callable[[list[Query], int], list[Answer]], trials: list[Trial], scores: bool, settings: AnswerSettings
) -> Iterator[tuple[Trial, Answer]]:
    """Each trial with the arm's reply; `ask` is `CachedArm.answer` or `CachedArm.answer_again`."""
    replies = ask([trial.query(scores) for trial in trials], settings.max_new_tokens)
    return zip(trials, replies, strict=True)
