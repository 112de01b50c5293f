"""Generated word problems with worked solutions: nothing to download, nothing seen before.

    {"question": "Ann has 12 apples. Ben has 3 times as many apples as Ann. Ben gives away 7 apples.
                  How many apples does Ben have left?",
     "rationale": "12 * 3 = 36.\\n36 - 7 = 29.", "answer": "29"}

Problems have two or three steps and numbers up to 40, in plain and regular language. A small model can learn to solve
them step by step but not at once, so that its chain carries the answer.

The trap: two problems that differ only in names are the same problem, and a twin in the training set would give the
answer away. So no template is used twice with the same numbers.
"""

import operator
import random
from typing import NamedTuple

from faithtune.core.errors import UserError
from faithtune.data.questions import number

KIND = "number"
RATIONALE = "native"
DOMAIN = "mathematics"

LARGEST = 200  # no intermediate result exceeds it
MOST = 20_000  # the largest n of `generate`; there are about three times as many problems

NAMES = ["Ann", "Ben", "Dan", "Eva", "Ivy", "Leo", "Mia", "Noah", "Olga", "Paul", "Rosa", "Sam", "Tina", "Zoe"]
THINGS = ["apples", "balls", "books", "cards", "coins", "eggs", "keys", "nuts", "pears", "plums", "stones", "toys"]
_OPERATIONS = {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}


class Template(NamedTuple):
    """A kind of problem; a, b, c are drawn from 2 to 40, k and m from 2 to 5.

    A step is "operand operation operand"; x, y, z are the results of the first, second and third step.
    """

    text: str
    steps: tuple[str, ...]


TEMPLATES = (
    Template(
        "{A} has {a} {things}. {B} has {k} times as many {things} as {A}. {B} gives away {b} {things}."
        " How many {things} does {B} have left?",
        ("a * k", "x - b"),
    ),
    Template(
        "{A} has {a} {things}. {A} buys {k} bags with {b} {things} each. How many {things} does {A} have now?",
        ("k * b", "a + x"),
    ),
    Template(
        "{A} has {a} {things}. {B} has {b} more {things} than {A}. How many {things} do {A} and {B} have together?",
        ("a + b", "a + x"),
    ),
    Template(
        "{A} has {a} {things}. {A} gives {b} {things} to {B} and then loses {c} {things}."
        " How many {things} does {A} have left?",
        ("a - b", "x - c"),
    ),
    Template(
        "{A} has {a} {things} and finds {b} more {things}. {A} puts all {things} into {k} equal boxes."
        " How many {things} are in each box?",
        ("a + b", "x / k"),
    ),
    Template(
        "{A} shares {a} {things} equally among {k} friends. {B} is one of the friends and already had {b} {things}."
        " How many {things} does {B} have now?",
        ("a / k", "b + x"),
    ),
    Template(
        "{A} buys {k} boxes with {a} {things} each. {B} buys {m} boxes with {b} {things} each."
        " How many {things} do {A} and {B} buy together?",
        ("k * a", "m * b", "x + y"),
    ),
    Template(
        "{A} has {a} {things}. {B} has {k} times as many {things} as {A}. {C} has {b} fewer {things} than {B}."
        " How many {things} do {B} and {C} have together?",
        ("a * k", "x - b", "x + y"),
    ),
    Template(
        "{A} picks {a} {things} and {B} picks {b} {things}. They share all {things} equally among {k} friends."
        " {C} is one of the friends and eats {m} {things}. How many {things} does {C} have left?",
        ("a + b", "x / k", "y - m"),
    ),
    Template(
        "{A} has {a} {things}. {A} gives away {b} {things}. Then {A} gets {k} times as many {things} as are left."
        " How many {things} does {A} get?",
        ("a - b", "x * k"),
    ),
)


def generate(n: int, seed: int) -> list[dict]:
    """`n` distinct problems as questions; the first m of them equal generate(m, seed).

    Raises UserError unless 1 <= n <= MOST.
    """
    if not 1 <= n <= MOST:
        raise UserError(f"arithmetic: {n} problems are too few or too many; expected between 1 and {MOST}")
    source = random.Random(seed)
    problems: dict[tuple, dict] = {}
    while len(problems) < n:
        template = source.choice(TEMPLATES)
        numbers, steps = _solved(template, source)
        people = dict(zip("ABC", source.sample(NAMES, 3), strict=True))
        question = template.text.format(**people, **numbers, things=source.choice(THINGS))
        rationale = "\n".join(f"{step} = {result}." for step, result in steps)
        problem = number(question, str(steps[-1][1]), rationale=rationale)
        problems.setdefault((template, *(numbers[name] for name in numbers if f"{{{name}}}" in template.text)), problem)
    return list(problems.values())


def _solved(template: Template, source: random.Random) -> tuple[dict[str, int], list[tuple[str, int]]]:
    """(numbers, steps with results) for a template, drawn until all results are whole and within 1 ... LARGEST."""
    while True:
        numbers = {name: source.randint(2, 40) for name in "abc"} | {name: source.randint(2, 5) for name in "km"}
        values, steps = dict(numbers), []
        for name, step in zip("xyz", template.steps, strict=False):
            left, sign, right = step.split()
            result = _OPERATIONS[sign](values[left], values[right])
            if result != int(result) or not 1 <= result <= LARGEST:
                break
            values[name] = int(result)
            steps.append((f"{values[left]} {sign} {values[right]}", values[name]))
        else:
            return numbers, steps
