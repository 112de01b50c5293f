"""What became of an answer, as one character: the item viewer shows a row of them for each question."""

# The answer against another: `.`: there is none to compare with.
_COMPARED = {True: "=", False: "x", None: "."}
# The answer against the gold answer.
_VERDICTS = {True: "r", False: "w", None: "."}
_OTHERWISE = {"unanswered": "?", "truncated": "t", "unavailable": "-"}


def mark_match(outcome: str, match: bool | None) -> str:
    """Whether an answer equals the one that it is compared with, or why there is no answer."""
    return _OTHERWISE.get(outcome, _COMPARED[match])


def mark_correct(outcome: str, correct: bool | None) -> str:
    """Whether an answer is right, or why there is no answer."""
    return _OTHERWISE.get(outcome, _VERDICTS[correct])
