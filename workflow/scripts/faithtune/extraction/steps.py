"""Splits a chain of thought into its steps s_1 ... s_N (`data/forms.py` joins them)."""

import re

from faithtune.extraction.cues import FINAL_LINE, first_line
from faithtune.extraction.text import NEXT_TURN, unwrap_json

# At the start of a line "Step 1:", "**Step 2.**", "### Step 3 - ..."; within a line only "Step 2:" after the end of a
# sentence or an equation, so that "from step 2" and "as in Step 2: ..." stay inside their step.
_PLAIN_MARKER = r"\**Step[ \t]+\d+[ \t]*:\**"
_MARKER = re.compile(
    r"(?:^[ \t>#*_-]*(?i:step)[ \t]+\d+[ \t]*\**(?::|[ \t]*[.)\u2013\u2014-](?=\s)|[ \t]*$)\**"
    rf"|(?<=[.!?;:)*\d])\s*{_PLAIN_MARKER})",
    re.MULTILINE,
)
# The numbering of a list before a word, or a repeated marker; `StepForm.join` numbers the steps itself.
_LEADING = re.compile(rf"\A(?:(?:\d{{1,2}}[.)]|[-*•])\s+(?=[^\W\d_])|{_PLAIN_MARKER}\s*)+")
_WORD = re.compile(r"[^\W_]")
_TAG = re.compile(r"</?(?:think|thinking|thought)>", re.IGNORECASE)
# A code fence, or a line that holds only a box: \[ \boxed{60} \]
_NO_STEP = re.compile(
    r"^[ \t]*(?:```\w*|[\W_]*\\boxed\s?\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\}[\W_]*?)[ \t]*$", re.MULTILINE
)
# Only numbering, a horizontal rule, or a single letter or number.
NO_REASONING = re.compile(r"[\W_]*+(?:[A-Za-z]|\d[\d.,]*+)?+[\W_]*+")
# A closing sentence that only declares the answer. A sentence with "=", "not" or "because" reasons.
_ANSWER_SENTENCE = re.compile(
    r"(?:\A|\n\s*|(?<=[.!?])[\s*]+)\**(?:(?:so|thus|therefore|hence|and|then)\b,?\s+)*the\s+(?:[\w,-]+\s+){0,4}answer\s+is\b"
    r"(?:(?!\b(?:not|because|since)\b)[^.=]|\.(?=\d)|(?<=\b[A-Z])\.)*[.!*\s]*$",
    re.IGNORECASE,
)


def split(text: str) -> list[str]:
    """Split a chain into its steps.

    Divided by `Step i:` markers if there are any (text before the first marker
    is an opening and not a step), else by lines, else by sentences (sentencex).
    A chain with a single marked step is divided like a chain without markers:
    the evaluation prompt itself writes the first marker, and small models often
    write their whole reasoning after it.

    For a chain written as JSON, its reasoning is split (`text.unwrap_json`).

    Dropped: empty pieces, numbering, a single letter or number (a bare answer
    is not reasoning: the chain has collapsed), a box on its own line, thinking
    tags, code fences; the final-answer line and the text after it; closing
    sentences that only declare ("The answer is 66."). If nothing precedes the
    final-answer line, the explanation after it is the chain, up to the next
    question. Each step is one line: runs of white space become one space.
    """
    text = without_marks(unwrap_json(text))
    return _split(text) or _split(_find_explanation(text))


def without_marks(text: str) -> str:
    """The text without thinking tags, code fences and boxes on lines of their own."""
    return _NO_STEP.sub("", _TAG.sub("\n", "\n".join(text.splitlines())))


def _split(text: str) -> list[str]:
    for name in ("answer_heading", "answer_tag"):  # these cues span two lines, which dividing would separate
        if cue := FINAL_LINE[name].search(text):
            text = text[: cue.start()]
    for divide in (_divide_by_marker, str.splitlines):
        parts = divide(text)
        steps = _clean(parts)
        if len(steps) > 1:
            return steps
        text = "\n".join(parts)
    return _clean(divide_by_sentence("".join(steps)))


def chain_ended(text: str) -> bool:
    """Whether a chain has a complete final-answer line, not empty and with its line end.

    `split` drops all text after that line, so generation may stop.
    """
    return any(
        "\n" in text[match.end() :].lstrip(" \t\r\n*") for cue in FINAL_LINE.values() if (match := cue.search(text))
    )


def line_ended(text: str) -> bool:
    """Whether the first line of a text is complete; for texts of one line, such as an answer or a paraphrase."""
    return "\n" in text.lstrip()


def _find_explanation(text: str) -> str:
    """The text after the first final-answer line, up to the next question; "" without such a line."""
    cues = [match for cue in FINAL_LINE.values() if (match := cue.search(text))]
    if not cues:
        return ""
    text = text[first_line(text, min(cues, key=re.Match.start).end())[1] :]
    turn = NEXT_TURN.search(text)
    return text[: turn.start()] if turn else text


def _divide_by_marker(text: str) -> list[str]:
    parts = _MARKER.split(text)
    return parts[1:] or parts


def divide_by_sentence(text: str) -> list[str]:
    """The sentences of a text."""
    from sentencex import segment  # a compiled extension; needed only where a chain has neither markers nor lines

    return list(segment("en", text))


def _clean(parts: list[str]) -> list[str]:
    """The parts that hold reasoning, one line each; repeated until nothing changes, as a cut can uncover another."""
    cleaned = [" ".join(part.split()) for part in drop_answer(_keep_reasoning(parts))]
    return cleaned if cleaned == parts else _clean(cleaned)


def _keep_reasoning(parts: list[str]) -> list[str]:
    """The parts up to the final-answer line, without numbering and horizontal rules."""
    kept = []
    for part in parts:
        part = _LEADING.sub("", part.strip())
        ends = [match.start() for cue in FINAL_LINE.values() if (match := cue.search(part))]
        part = part[: min(ends)] if ends else part
        part = "\n".join(line for line in part.splitlines() if _WORD.search(line))  # not "---", "***"
        part = part.rstrip(" \t>#*_")  # nor the rest of a bold "**Final Answer:**"
        if not NO_REASONING.fullmatch(part):
            kept.append(part)
        if ends:
            break
    return kept


def drop_answer(steps: list[str]) -> list[str]:
    """Drop closing sentences that only declare the answer."""
    steps = list(steps)
    while steps and (match := _ANSWER_SENTENCE.search(steps[-1])):
        steps[-1] = steps[-1][: match.start()]
        if NO_REASONING.fullmatch(steps[-1]):
            steps.pop()
    return steps
