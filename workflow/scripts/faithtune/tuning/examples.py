"""Training examples as text, for tuning here (`train`) and at a host (`hosted`).

An example continues the user's turn of an evaluation prompt:

    rationale     Step 1: ... Step N: ...\\nFinal Answer: B. ...
    own           the same, with the steps of a chain that the model drew (`own`)
    answer_only   Final Answer: B. ...

Hosts take JSON lines in OpenAI's formats for supervised tuning and for preferences (dpo):

    {"messages": [{"role": "user", ...}, {"role": "assistant", ...}]}
    {"input": {"messages": [user]}, "preferred_output": [assistant], "non_preferred_output": [assistant]}
"""

import json
import random
from decimal import Decimal

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.forms import STEPS, Form
from faithtune.data.questions import LETTERS, canonical_number, digest
from faithtune.extraction import steps

# Target -> the prompt's form.
FORMS = {"rationale": "cot", "own": "cot", "answer_only": "no_cot"}


def select_usable(questions: pl.DataFrame, target: str) -> pl.DataFrame:
    """The training questions that can teach their target, with the column `target`, printing how many cannot.

    target: what all questions teach, unless they have the column already. UserError if none can.
    """
    if "target" not in questions.columns:
        questions = questions.with_columns(target=pl.lit(target))
    kept = questions.filter((pl.col("target") != "rationale") | pl.col("rationale").is_not_null())
    if kept.height < questions.height:
        print(f"{questions.height - kept.height} of {questions.height} questions have no rationale and are left out")
    if kept.is_empty():
        raise UserError("tuning: no training question has a rationale; expected target answer_only")
    return kept


def user_turn(templates: dict[str, str], question: dict, target: str) -> str:
    """The user's turn of the evaluation prompt."""
    return prompts.user_turn(templates, FORMS[target], question)


def completion(question: dict, target: str, form: Form = STEPS) -> str:
    """The assistant's whole turn; question: for target own a row of `own.learnable`."""
    return form.answer(form.join(_taught_steps(question, target))) + prompts.answer_text(question)


def _taught_steps(question: dict, target: str) -> list[str]:
    if target == "own":
        return question["steps"]
    return steps.split(question["rationale"]) if target == "rationale" else []


def supervised_example(templates: dict[str, str], question: dict, target: str) -> dict:
    """A host's example for supervised tuning."""
    return {"messages": [_user_message(templates, question, target), _assistant_message(question, target)]}


def preference_example(templates: dict[str, str], question: dict, target: str) -> dict:
    """A host's example for dpo: the right turn is preferred to the same turn with a wrong answer."""
    wrong = question | {"answer": wrong_answer(question)}
    return {
        "input": {"messages": [_user_message(templates, question, target)]},
        "preferred_output": [_assistant_message(question, target)],
        "non_preferred_output": [_assistant_message(wrong, target)],
    }


def wrong_answer(question: dict) -> str:
    """The letter of another option, or the number moved by 1 ... 10 without a change to negative.

    Drawn with the question's id as the seed.
    """
    draw = random.Random(question["id"])
    if question["kind"] == "choice":
        return draw.choice([letter for letter in LETTERS[: len(question["options"])] if letter != question["answer"]])
    right = Decimal(question["answer"])
    moved = [right + change for change in range(-10, 11) if change and (right + change >= 0 or right < 0)]
    return canonical_number(f"{draw.choice(moved):f}")


def split_validation(questions: pl.DataFrame, share: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split training questions into (training, validation), each in the given order.

    Validation gets whole groups, in the order of a hash, up to `share` of the questions; with few large groups it may
    get none. UserError unless 0 <= share < 1.
    """
    if not 0 <= share < 1:
        raise UserError(f"tuning: validation_share is {share}; expected 0 (none) or a share below 1")
    sizes = dict(questions.group_by("group").len().iter_rows())
    held, room = [], share * questions.height
    # Salted: the order must be independent of the hashes that sample questions and split training from evaluation.
    for group in sorted(sizes, key=lambda group: digest("validation", group)):
        if sizes[group] > room:
            break
        held.append(group)
        room -= sizes[group]
    validation = pl.col("group").is_in(pl.Series(held, dtype=pl.String).implode())
    return questions.filter(~validation), questions.filter(validation)


def to_jsonl(examples: list[dict]) -> bytes:
    """The content of a host's training file."""
    return "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in examples).encode()


def _user_message(templates: dict[str, str], question: dict, target: str) -> dict:
    return {"role": "user", "content": user_turn(templates, question, target)}


def _assistant_message(question: dict, target: str) -> dict:
    return {"role": "assistant", "content": completion(question, target)}
