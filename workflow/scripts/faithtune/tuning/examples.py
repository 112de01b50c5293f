"""Training examples, as text: what a model is tuned on, here (`train`) and at a host (`hosted`).

An example goes on from the user's turn of an evaluation prompt:

    rationale     Step 1: ... Step N: ...\\nFinal Answer: B. ...
    answer_only   Final Answer: B. ...

Hosts take them as lines of JSON, in OpenAI's shapes for supervised tuning and for preferences (dpo):

    {"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}
    {"input": {"messages": [user]}, "preferred_output": [assistant], "non_preferred_output": [assistant]}
"""

import json
import random
from decimal import Decimal

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.questions import LETTERS, canonical_number, digest
from faithtune.extraction import steps

# Target -> the prompt's form.
FORMS = {"rationale": "cot", "answer_only": "no_cot"}


def select_usable(questions: pl.DataFrame, target: str) -> pl.DataFrame:
    """The training questions that can teach the target; UserError where none can."""
    kept = questions.filter(pl.col("rationale").is_not_null()) if target == "rationale" else questions
    if kept.height < questions.height:
        print(f"{questions.height - kept.height} of {questions.height} questions have no rationale and are left out")
    if kept.is_empty():
        raise UserError("tuning: none of the training questions has a rationale; expected target answer_only")
    return kept


def user_turn(templates: dict[str, str], question: dict, target: str) -> str:
    """The user's turn: the evaluation prompt's."""
    return prompts.user_turn(templates, FORMS[target], question)


def completion(question: dict, target: str) -> str:
    """The assistant's whole turn."""
    chain = steps.join(steps.split(question["rationale"])) if target == "rationale" else ""
    return prompts.assistant_turn(chain) + prompts.answer_text(question)


def supervised_example(templates: dict[str, str], question: dict, target: str) -> dict:
    """An example of supervised tuning at a host."""
    return {"messages": [_user_message(templates, question, target), _assistant_message(question, target)]}


def preference_example(templates: dict[str, str], question: dict, target: str) -> dict:
    """An example of dpo at a host: the same turn is preferred to itself with a wrong answer."""
    wrong = question | {"answer": wrong_answer(question)}
    return {
        "input": {"messages": [_user_message(templates, question, target)]},
        "preferred_output": [_assistant_message(question, target)],
        "non_preferred_output": [_assistant_message(wrong, target)],
    }


def wrong_answer(question: dict) -> str:
    """Another option's letter, or a number moved by 1 ... 10 that is not newly negative; the id draws it."""
    draw = random.Random(question["id"])  # seeded: the same in each job
    if question["kind"] == "choice":
        return draw.choice([letter for letter in LETTERS[: len(question["options"])] if letter != question["answer"]])
    right = Decimal(question["answer"])
    moved = [right + change for change in range(-10, 11) if change and (right + change >= 0 or right < 0)]
    return canonical_number(f"{draw.choice(moved):f}")


def split_validation(questions: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Cut training questions into (to be learnt, for validation), each in the order given.

    Whole groups, by a hash of the group, up to `share` of the questions; few questions in large groups may leave
    none for validation. UserError unless 0 <= share < 1.
    """
    if not 0 <= share < 1:
        raise UserError(f"tuning: validation_share is {share}; expected 0 (none) or a share below 1")
    sizes = dict(questions.group_by("group").len().iter_rows())
    held, room = [], share * questions.height
    # Salted: it must be neither the order by which `select` samples nor the cut into training and evaluation.
    for group in sorted(sizes, key=lambda group: digest("validation", group)):
        if sizes[group] > room:
            break
        held.append(group)
        room -= sizes[group]
    validation = pl.col("group").is_in(pl.Series(held, dtype=pl.String).implode())
    return questions.filter(~validation), questions.filter(validation)


def to_jsonl(examples: list[dict]) -> bytes:
    """A host's training file."""
    return "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in examples).encode()


def _user_message(templates: dict[str, str], question: dict, target: str) -> dict:
    return {"role": "user", "content": user_turn(templates, question, target)}


def _assistant_message(question: dict, target: str) -> dict:
    return {"role": "assistant", "content": completion(question, target)}
