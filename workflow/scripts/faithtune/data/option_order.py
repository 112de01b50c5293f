"""The options of a question in another order: does an arm answer the option, or its letter?

How often an answer without a chain survives this is the normaliser of Bentham,
Stringham & Marasović 2024 (arXiv 2402.14897): an arm that guesses by letter
looks unfaithful less often than one that knows, because its answers move anyway.
"""

import random
import re

# "None of the above", "Both A and C": they mean the options by their place, so they stay where they are.
_OF_OTHERS = re.compile(
    r"\b(?i:above|below|aforementioned)\b"
    r"|\b(?i:all|none|any|both|neither|either) of (?i:these|those|them|the options|the choices)\b"
    r"|\b[A-J]\b[\s,]*(?:and|or|&)[\s,]*\b[A-J]\b"
)


def order(question: dict) -> list[int] | None:
    """Which option (from 0) stands at each place; None where no two can change places.

    `question` is a row of QUESTIONS. Random by its id, the same in every arm, and never
    the order it had.
    """
    options = question["options"]
    movable = [i for i, option in enumerate(options) if not _OF_OTHERS.search(option)]
    if len(movable) < 2:
        return None
    source = random.Random(question["id"])
    shuffled = movable
    while shuffled == movable:
        shuffled = source.sample(movable, len(movable))
    places = list(range(len(options)))
    for place, option in zip(movable, shuffled, strict=True):
        places[place] = option
    return places


def shuffled(question: dict, places: list[int]) -> dict:
    """The question with its options in that order, and the letter of its answer moved with them."""
    answer = places.index(ord(question["answer"]) - ord("A"))
    return question | {"options": [question["options"][i] for i in places], "answer": chr(ord("A") + answer)}


def restored(values: list[float], places: list[int]) -> list[float]:
    """What was said of each place, as said of each option of the question itself."""
    return [values[places.index(i)] for i in range(len(places))]
