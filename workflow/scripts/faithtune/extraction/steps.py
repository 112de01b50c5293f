"""The steps s_1 ... s_N of a chain of thought, and the text made of them again."""

import re
from collections.abc import Sequence

from faithtune.extraction.cues import FINAL_LINE, line
from faithtune.extraction.text import NEXT, reasoning

# At a line's start "Step 1:", "**Step 2.**", "### Step 3 - ..."; in mid-line the plain "Step 2:" where a sentence or
# a sum has ended, so that "from step 2" and "as in Step 2: ..." stay inside their step.
_PLAIN_MARKER = r"\**Step[ \t]+\d+[ \t]*:\**"
_MARKER = re.compile(
    r"(?:^[ \t>#*_-]*(?i:step)[ \t]+\d+[ \t]*\**(?::|[ \t]*[.)\u2013\u2014-](?=\s)|[ \t]*$)\**"
    rf"|(?<=[.!?;:)*\d])\s*{_PLAIN_MARKER})",
    re.MULTILINE,
)
# A list's own numbering before a word, or the marker once more; `join` numbers the steps.
_LEADING = re.compile(rf"\A(?:(?:\d{{1,2}}[.)]|[-*•])\s+(?=[^\W\d_])|{_PLAIN_MARKER}\s*)+")
_WORD = re.compile(r"[^\W_]")
_TAG = re.compile(r"</?(?:think|thinking|thought)>", re.IGNORECASE)
# A code fence, or a line with nothing but a box on it: \[ \boxed{60} \]
_NO_STEP = re.compile(
    r"^[ \t]*(?:```\w*|[\W_]*\\boxed\s?\{[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*\}[\W_]*?)[ \t]*$", re.MULTILINE
)
# Nothing but numbering, a rule, or a letter or number alone: no reasoning in it.
_BARE = re.compile(r"[\W_]*+(?:[A-Za-z]|\d[\d.,]*+)?+[\W_]*+")
# A closing sentence that only declares. One with "=", "not" or "because" reasons.
_ANSWER_SENTENCE = re.compile(
    r"(?:\A|\n\s*|(?<=[.!?])[\s*]+)\**(?:(?:so|thus|therefore|hence|and|then)\b,?\s+)*the\s+(?:[\w,-]+\s+){0,4}answer\s+is\b"
    r"(?:(?!\b(?:not|because|since)\b)[^.=]|\.(?=\d)|(?<=\b[A-Z])\.)*[.!*\s]*$",
    re.IGNORECASE,
)


def split(text: str) -> list[str]:
    """Split a chain into its steps.

    By `Step i:` markers if there are any (text before the first is an opening
    and no step), else by lines, else by sentences (sentencex). The evaluation
    prompt itself puts the first marker there, and a small model often writes
    its whole reasoning behind it; so a chain of a single marked step says
    nothing about how the model divides its reasoning, and the step is divided
    by lines, else by sentences, like a chain without markers.

    Of a chain written as JSON the reasoning's text is split (`text`).

    Dropped: empty and numbering-only pieces, also a letter or number alone
    (a bare answer is no reasoning: the chain has collapsed), a box alone, tags
    of thinking, code fences; the final-answer line and what follows it;
    closing sentences that only declare ("The answer is 66."). Where nothing
    stands before the final-answer line, the explanation after it is the chain,
    up to a next question. Each step is one line: runs of white space become
    one space.
    """
    text = _NO_STEP.sub("", _TAG.sub("\n", "\n".join(reasoning(text).splitlines())))
    return _split(text) or _split(_explanation(text))


def _split(text: str) -> list[str]:
    for name in ("answer_heading", "answer_tag"):  # cues of two lines, which dividing would part
        if cue := FINAL_LINE[name].search(text):
            text = text[: cue.start()]
    for divide in (_by_marker, str.splitlines):
        parts = divide(text)
        steps = _cleaned(parts)
        if len(steps) > 1:
            return steps
        text = "\n".join(parts)
    return _cleaned(_by_sentence("".join(steps)))


def join(steps: Sequence[str]) -> str:
    """Render steps as the assistant writes them: "Step 1: a\\nStep 2: b"; "" for none."""
    return "\n".join(f"Step {i}: {step}" for i, step in enumerate(steps, start=1))


def free_text_end(text: str) -> bool:
    """Whether a chain is finished: it has a final-answer line, not empty, and its line end.

    What a model writes after that is dropped by `split`, so generation may stop.
    """
    return any(
        "\n" in text[match.end() :].lstrip(" \t\r\n*") for cue in FINAL_LINE.values() if (match := cue.search(text))
    )


def line_ended(text: str) -> bool:
    """Whether a text of one line is finished: a number after the cue, a paraphrase."""
    return "\n" in text.lstrip()


def _explanation(text: str) -> str:
    """What stands after the first final-answer line."""
    cues = [match for cue in FINAL_LINE.values() if (match := cue.search(text))]
    if not cues:
        return ""
    text = text[line(text, min(cues, key=re.Match.start).end())[1] :]
    turn = NEXT.search(text)
    return text[: turn.start()] if turn else text


def _by_marker(text: str) -> list[str]:
    parts = _MARKER.split(text)
    return parts[1:] or parts


def _by_sentence(text: str) -> list[str]:
    from sentencex import segment  # a compiled extension; needed only where a chain has neither markers nor lines

    return list(segment("en", text))


def _cleaned(parts: list[str]) -> list[str]:
    """The parts that hold reasoning, one line each; repeated until nothing changes, as a cut can bare another."""
    cleaned = [" ".join(part.split()) for part in _without_answer(_reasoning(parts))]
    return cleaned if cleaned == parts else _cleaned(cleaned)


def _reasoning(parts: list[str]) -> list[str]:
    """The parts up to the final-answer line, without numbering and rules."""
    kept = []
    for part in parts:
        part = _LEADING.sub("", part.strip())
        ends = [match.start() for cue in FINAL_LINE.values() if (match := cue.search(part))]
        part = part[: min(ends)] if ends else part
        part = "\n".join(line for line in part.splitlines() if _WORD.search(line))  # not "---", "***"
        part = part.rstrip(" \t>#*_")  # nor what is left of a bold "**Final Answer:**"
        if not _BARE.fullmatch(part):
            kept.append(part)
        if ends:
            break
    return kept


def _without_answer(steps: list[str]) -> list[str]:
    """Drop closing sentences that only declare the answer."""
    steps = list(steps)
    while steps and (match := _ANSWER_SENTENCE.search(steps[-1])):
        steps[-1] = steps[-1][: match.start()]
        if _BARE.fullmatch(steps[-1]):
            steps.pop()
    return steps
