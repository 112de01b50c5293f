r"""Answers that are expressions: fractions, roots, intervals, sets, tuples, matrices, equations, words.

An answer is kept as LaTeX, the way it was written without what only sets it: "\dfrac{1}{2}." and "$\frac{1}{2}$" are
kept as "\frac{1}{2}". One expression has many such texts. Whether two are the same is what math-verify says
(https://github.com/huggingface/Math-Verify). Its `verify(gold, target)` is not symmetric: an assignment equals its
value ("x = 3" and "3"), but of other equations only a target equals its right side ("f(2) = 3"). Here two texts are the
same if it says so in either direction, so that the order of two answers never matters. It also takes a tuple for a set
or for a list without brackets; here "(1, 2)" is neither \{1, 2\} nor "1, 2", which are the same. What math-verify
ignores counts for nothing here as well: units ("5 \text{ cm}" is 5), a percent sign (50 \% is 50, and 0.5), degrees,
the base of a number, the sixth decimal, and mostly the case of letters (A is a).

math-verify runs in a process of its own (`data.math_worker`), which starts with the first expression. A text that takes
more than SECONDS of processor time to read cannot be read, and two texts that take more to compare are not the same.
That limit is on the time that the process computes, not on the clock, so that a busy machine says the same as an idle
one. The process ends at the limit, and the next expression starts another. Where the process ends for another reason
(somebody killed it, or the texts need a stack or a memory that is not there), it is started again and asked once more;
if it ends again, the answer is no as well.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable
from functools import lru_cache
from multiprocessing.connection import wait

from faithtune.core.errors import UserError
from faithtune.data import math_worker

SECONDS = 10  # of processor time; nearly all comparisons take less than 0.1
MOST_SECONDS = 3600  # by the clock: no answer, but an error
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

    They are if math-verify says so in either direction, unless one is a tuple and the other a set or a list; or if they
    differ in white space, \text and the case of words.
    """
    if plain(one) == plain(other):
        return True
    return {_series(one), _series(other)} != {"tuple", "set"} and _ask(*sorted((one, other)))


def known_spelling(answer: str | None, known: Iterable[str | None]) -> str | None:
    """The first of the `known` answers that is the same expression as `answer`; if none is, `answer` itself.

    So answers that are the same have one text, and whatever compares answers compares texts.
    """
    return next((text for text in known if answer and text and same_expression(text, answer)), answer)


def _series(text: str) -> str | None:
    """How a text holds several things: as a `tuple` (or an interval), as a `set` (or a list), or not at all."""
    text, depth = plain(text), 0
    commas, ends = [], []  # how deep in brackets the commas stand; where the outermost brackets end
    for i, character in enumerate(text):
        depth += (character in "([{") - (character in ")]}")
        commas += [depth] if character == "," else []
        ends += [i] if character in ")]}" and depth == 0 else []
    if 0 in commas:
        return "set"
    if 1 not in commas or ends != [len(text) - 1]:
        return None
    return "tuple" if text[0] in "([" else "set" if text.startswith("\\{") else None


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

    def __init__(self, seconds: int = SECONDS):
        self.seconds, self.lock, self.process = seconds, threading.Lock(), None

    def ask(self, texts: list[str]) -> bool:
        with self.lock:
            for _ in range(2):
                if self.process is None or self.process.poll() is not None:
                    self._start()
                answer = self._exchange(json.dumps(texts) + "\n")
                if answer.endswith("\n"):
                    return answer == "true\n"
                if self._end() == -signal.SIGXCPU:  # it has taken its seconds, and would again
                    break
            return False

    def _exchange(self, request: str) -> str:
        """The line that answers a request; without its end if the process has ended."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(request)
            self.process.stdin.flush()
        if not wait([self.process.stdout], MOST_SECONDS):
            self._end()
            raise UserError(
                f"comparing {request.strip()} has not ended in {MOST_SECONDS // 60} minutes, as the machine is too busy"
                f" to give it {self.seconds} seconds of a processor; run again"
            )
        return self.process.stdout.readline()

    def _start(self) -> None:
        # -P: the folder of the module, whose names are also those of Python's own, is not searched.
        command = [sys.executable, "-P", math_worker.__file__, str(self.seconds)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        # The order of sets, in which sympy may compute, is the same in each process.
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        self.process = subprocess.Popen(command, text=True, encoding="utf-8", env=environment, **pipes)
        if (said := self.process.stdout.readline()) != "true\n":
            self._end()
            raise UserError(
                f"questions of kind expression need the package math-verify ({said.strip()}); run ./setup.sh again"
            )

    def _end(self) -> int:
        """End the process; its exit status, negative for the signal that had ended it before."""
        self.process.kill()
        with contextlib.suppress(BrokenPipeError):  # a request that it never read
            self.process.communicate()
        status, self.process = self.process.wait(), None
        return status


_worker = _Worker()


def _ask(*texts: str) -> bool:
    return _worker.ask(list(texts))
