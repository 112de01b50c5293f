r"""Answers that are expressions: fractions, roots, intervals, sets, tuples, matrices, equations, words.

An answer is kept as LaTeX, the way it was written without what only sets it: "\dfrac{1}{2}." and "$\frac{1}{2}$" are
kept as "\frac{1}{2}". One expression has many such texts. Whether two are the same is what math-verify says
(https://github.com/huggingface/Math-Verify). Its `verify(gold, target)` is not symmetric: an assignment equals its
value ("x = 3" and "3"), but of other equations only a target equals its right side ("f(2) = 3"). Here two texts are the
same if it says so in either direction, so that the order of two answers never matters. What math-verify ignores counts
for nothing here as well: units ("5 \text{ cm}" is 5), a percent sign (50 \% is 50, and 0.5), degrees, the base of a
number, and the sixth decimal.

math-verify runs in a process of its own (`data.math_worker`), which starts with the first expression. A computation of
more than SECONDS ends it: the text then cannot be read, or the two are not the same.
"""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable
from functools import lru_cache
from multiprocessing.connection import wait

from faithtune.core.errors import UserError
from faithtune.data import math_worker

SECONDS = 60  # by the clock: a starved machine must not change what is the same
LONGEST = 300  # characters; longer texts are not read

# \boxed{...} with braces in it up to three deep
BOX = r"(?:\\boxed|\\fbox)\s?\{(?P<box>(?:[^{}]|\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})*)\}"
_WRAPPED = re.compile(
    rf"\$\$(?P<display>[^$]+)\$\$|\$(?P<inline>(?:\\\$|[^$])+)\$|\\\((?P<round>.+)\\\)|\\\[(?P<square>.+)\\\]|{BOX}"
)
_TYPOGRAPHY = re.compile(r"\\[!,;:]|\\(?:displaystyle|left|right|quad|qquad)(?![A-Za-z])")
_FRACTION = re.compile(r"\\[dt]frac(?![A-Za-z])")
_SIGNS = {"\u2212": "-", "\u2013": "-", "°": r"^\circ", "\u03c0": r"\pi ", "\u221e": r"\infty ", "\u222a": r"\cup "}
_SIGNS |= {"\u00d7": r"\times ", "\u2264": r"\le ", "\u2265": r"\ge ", "\u00b1": r"\pm ", "\u00b7": r"\cdot "}
_CURRENCY = re.compile(r"\\?\$(?=\s?[\d.])")
# What is written without LaTeX: sqrt(2), √2, 2pi
_ROOT = re.compile(r"(?:(?<![A-Za-z\\])sqrt(?=\()|\u221a)\s?(?:\(([^()]+)\)|(\d+|[a-z]))")
_NAME = re.compile(r"(?<![A-Za-z\\])(pi|sin|cos|tan|log|ln|infty)(?![A-Za-z])")
_MIXED = re.compile(r"(?<![\d.,/}])(\d{1,9})\s+(\d{1,9})/(\d{1,9})(?![\d.,/])")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mbox|operatorname)\s?\{([^{}]*)\}")
_WORD = re.compile(r"[A-Za-z]{3,}")


@lru_cache(maxsize=100_000)
def canonical_expression(text: str) -> str | None:
    r"""The text that is kept of an expression: " $\dfrac{1}{2}$. " -> "\frac{1}{2}"; None if it cannot be read.

    Taken off: outer marks of formulas and bold type, \boxed, a final full stop, commands that only set the formula.
    Raises UserError if math-verify is not installed.
    """
    before = None
    while before != text:
        before, text = text, text.strip().strip("*").strip()
        text = text[:-1] if text[-1:] in (".", ",", ";") else text
        if wrapped := _WRAPPED.fullmatch(text):
            text = wrapped[wrapped.lastgroup]
    for sign, command in _SIGNS.items():
        text = text.replace(sign, command)
    text = _NAME.sub(r"\\\1 ", _ROOT.sub(r"\\sqrt{\1\2}", _CURRENCY.sub("", text)))
    text = _FRACTION.sub(r"\\frac", _TYPOGRAPHY.sub("", text))
    text = re.sub(r"(?<!\\)%", r"\\%", _MIXED.sub(r"\1\\frac{\2}{\3}", " ".join(text.split())))
    return text if 0 < len(text) <= LONGEST and "$" not in text and _ask(text) else None


@lru_cache(maxsize=100_000)
def same_expression(one: str, other: str) -> bool:
    r"""Whether two answers, as `canonical_expression` gives them, are the same.

    They are if math-verify says so in either direction, or if they differ in white space, \text and the case of words.
    """
    return plain(one) == plain(other) or _ask(*sorted((one, other)))


def known_spelling(answer: str | None, known: Iterable[str | None]) -> str | None:
    """The first of the `known` answers that is the same expression as `answer`; if none is, `answer` itself.

    So answers that are the same have one text, and whatever compares answers compares texts.
    """
    return next((text for text in known if answer and text and same_expression(text, answer)), answer)


def plain(text: str) -> str:
    """A text as `unset` gives it, without white space; words in lower case."""
    text = "".join(unset(text).split()).rstrip(".")
    return text.casefold() if _WORD.match(text) else text


def unset(text: str) -> str:
    r"""A text without \text, \left, \right and the like, and dollar signs."""
    text = _TYPOGRAPHY.sub("", _TEXT.sub(r"\1", text)).replace("$", "")
    return _FRACTION.sub(r"\\frac", text)


class _Worker:
    """A process that runs `math_worker`; one request at a time."""

    def __init__(self):
        self.lock, self.process = threading.Lock(), None

    def ask(self, texts: list[str]) -> bool:
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self._start()
            self.process.stdin.write(json.dumps(texts) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline() if wait([self.process.stdout], SECONDS) else ""
            if not line:  # it takes too long, or has ended for want of memory
                self._end()
            return line == "true\n"

    def _start(self) -> None:
        # -P: the folder of the module, whose names are also those of Python's own, is not searched.
        command = [sys.executable, "-P", math_worker.__file__]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, encoding="utf-8", **pipes)
        if (told := self.process.stdout.readline()) != "true\n":
            self._end()
            raise UserError(
                f"questions of kind expression need the package math-verify ({told.strip()}); run ./setup.sh again"
            )

    def _end(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.process = None


_worker = _Worker()


def _ask(*texts: str) -> bool:
    return _worker.ask(list(texts))
