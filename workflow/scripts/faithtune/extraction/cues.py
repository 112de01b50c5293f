"""Where a text declares its answer: named cues, and the piece of text in which each cue's answer stands."""

import re
from collections.abc import Iterator
from typing import NamedTuple

# Cues that begin the final line of a chain. The text after such a cue is the
# answer and not reasoning, so `steps.split` ends the chain there.
FINAL_LINE = {
    # Final Answer: B        **Final Answer:** The single, most likely answer is (B)
    "final_answer": re.compile(r"\bfinal (?:answer|choice)[*_]*\s*:", re.IGNORECASE),
    # <answer>42</answer>
    "answer_tag": re.compile(r"<(?:final[_ ]?)?answer>(?=\s*[^\s<][^\n<]{0,200}\s*(?:</|\Z))", re.IGNORECASE),
    # Answer: 42             Step 3: Answer: 42      **Correct option:** (B)      answer_choice: B      Ans. C
    "answer_line": re.compile(
        r"^[ \t>#*_]*(?:step \d+[:.)]\s*)?(?:(?:the|my)\s+)?(?:(?:correct|best|right)\s+)?"
        r"(?:answer(?:[ _](?:choice|option|letter))?[*_]*\s*:|(?:correct|best|right)\s+(?:option|choice)[*_]*\s*:"
        r"|ans[.:])",
        re.IGNORECASE | re.MULTILINE,
    ),
    # ### Answer             (a heading above what begins like an answer; many models head their reasoning so)
    # B
    "answer_heading": re.compile(
        r"^[ \t>#*_]*(?:the\s+)?(?:final\s+|correct\s+)?answer[ \t*_#]*\n"
        r"(?=[\s*_$(\[\\]*(?:boxed|the\s+(?:\w+\s+)?answer\s+is"
        r"|(?-i:[A-J])(?![\w'\u2019-]|[ ]+(?-i:[a-z]))|[-\u2212]?[$€£]?\d[^\n]{0,40}$))",
        re.IGNORECASE | re.MULTILINE,
    ),
    # #### 42                (GSM8K; only before an answer: "#### Title" is a heading)
    "hashes": re.compile(r"^[ \t]*####(?=[ \t]*(?:[-$\u2212]*[\d,./]+[^\w\n]*|\(?[A-J]\)?[.*]*[ \t]*)$)", re.MULTILINE),
    # A: 42                  (GSM8K's example solutions; only a number at the end: "A: text" may weigh an option)
    "a_line": re.compile(r"^A:(?=[ \t]*[-$\u2212]*[\d,./]+%?(?: [a-z]+)?[\W_]*\Z)", re.MULTILINE),
}

_KEY = (
    r"(?:(?:final|correct|predicted|best|chosen|selected|my)_?)?"
    r"(?:answer|choice|option|prediction)(?:_(?:choice|letter|option|text|value))?"
)
_BEST = r"(?:(?:single|correct|right|best|final|likeliest|appropriate|suitable|(?:most|very)\s+\w+)[,\s]+)"
_SURELY = r"(?:therefore|thus|clearly|indeed|definitely|then|likely|most likely|probably|also)"
# is     would be     should therefore be     appears to be     is most likely to be     isn't (A, it's C)
_IS = (
    rf"(?:(?:is|would|should|must|will|has\s+to|can\s+only|appears|seems)(?:\s+{_SURELY})*(?:\s+(?:to\s+)?be)?\b"
    r"|is(?=n['\u2019]t\b)|equals\b)"
)
_LETTER = r"[(\[*]*(?-i:[A-J])\b"
_ENDS = r"(?=[\s*]*(?:[.,;!]|\Z|\n|(?:because|as|since|given)\b))"

SENTENCES = {
    # \boxed{72}              \fbox{C}     \boxed C     boxed{C}
    "boxed": re.compile(r"(?:\\boxed|\\fbox|\x08oxed|(?<![\w\\])boxed(?=\{))\s?(?:\{|(?=[A-J0-9]))"),
    # The answer is (C).     So the correct answer is 42 apples.     ... answer: 42
    "answer_is": re.compile(
        rf"\banswer\b(?:\s+to\s+(?:the|this|your)\s+(?:\w+\s+)?(?:question|problem))?(?:,?\s(?:therefore|thus|then),?)?"
        rf"[*_]*\s*(?:{_IS}[*_]*:?|:|=)",
        re.IGNORECASE,
    ),
    # The correct option is C.     The best choice is D.     My choice would be (A).     The correct one is C.
    "option_is": re.compile(
        rf"\b(?:{_BEST}+|my\s+(?:final\s+)?|chosen\s+|selected\s+)(?:option|choice|letter|one)\b"
        rf"[*_]*\s*(?:{_IS}[*_]*:?|:)",
        re.IGNORECASE,
    ),
    # I would choose (B).          We select option D.
    "chosen": re.compile(
        r"\b(?:I|we)(?:['\u2019](?:d|ll)|\s+(?:would|will|should|must|therefore|thus|then|have to))*\s+"
        r"(?:choose|chose|select|selected|pick|picked|go (?:with|for)|opt for)\b",
        re.IGNORECASE,
    ),
    # C is the correct answer.     (B) is the best choice.     42 is the answer.
    "is_answer": re.compile(
        rf"(?<!\s)\s+{_IS}\s+(?:{_SURELY}\s+)?(?:the|our|my)\s+{_BEST}*(?:answer|option|choice|one|fit)\b",
        re.IGNORECASE,
    ),
    # Die richtige Antwort ist B.  La réponse est (D).     正确答案为 A     答案：D
    "other_language": re.compile(
        r"\b(?:antwort|lösung)\s+(?:ist|lautet)\b|\bréponse(?:\s+\w+)?\s+est\b|\brespuesta(?:\s+\w+)?\s+es\b"
        r"|\brisposta(?:\s+\w+)?\s+è(?!\w)|\bresposta(?:\s+\w+)?\s+é(?!\w)"
        r"|答案(?:应该|应)?\s*(?:是|为|為|选|選|:)+",
        re.IGNORECASE,
    ),
    # Correct: C     Solution: C     Selected: C     Answer - C     Ans) C     **Answer** C
    "label": re.compile(
        r"^[ \t>#*_]*(?:(?:(?:the|my|final|correct|selected)\s+)*"
        r"(?:answer|ans|choice|option|pick)[*_]*\s?(?:[-\u2013\u2014)\u2192]|[-=]>|(?<=[*_])(?=\s))"
        r"|(?:correct|solution|(?:my\s+)?pick|selected|selection|conclusion|decision|verdict|choice|result)[*_]*\s*:)[*_]*\s*"
        rf"(?=(?:(?:option|choice)\s)?[*_\s]*{_LETTER}(?!\s+[a-z]))",
        re.IGNORECASE | re.MULTILINE,
    ),
    # Hence, C.     So it must be C.     => C     which leaves (D)
    "concluded": re.compile(
        r"(?:(?:(?:\A|(?<=[.!?\n,;:])|(?<=\band))\s*+[*_]*+(?:hence|therefore|thus|so|then)\b|[-=]>|\u21d2)[,:]?\s+"
        rf"|\b(?:it|this)\s+(?:must|should|has to|can only|would)(?:\s+{_SURELY})?\s+be\s+"
        r"|\b(?:so|thus|therefore|hence)\s*,?\s+it(?:['\u2019]s|\s+is)\s+|\bleft with\s+|\bleaves(?:\s+us with)?\s+)"
        rf"(?=(?:option\s+|choice\s+)?{_LETTER}[)\]*]*\s*(?:[.!;]|\Z|\n))",
        re.IGNORECASE,
    ),
    # Option C is correct.         (models weigh options one by one: all options called correct must be the same)
    # Option C is the most appropriate.
    "is_correct": re.compile(
        rf"(?<!\s)\s+(?:is\s+(?:{_SURELY}\s+)?(?:correct|right)\b"
        rf"|{_IS}\s+(?:{_SURELY}\s+)?the\s+(?:best|most\s+\w+|likeliest|correct|right)\b){_ENDS}",
        re.IGNORECASE,
    ),
    # So, Mary has **12 apples** left.     **(C) a fungus**     (last line only; a letter must fill the line)
    "bold": re.compile(
        r"(?:^[ \t]*\*\*(?=\(?[A-J]\)?[.):]?[^\n*]{0,200}\*\*[.\s]*\Z)"
        r"|\*\*(?=\\?[$€£]?[-\u2212]?[$€£]?\d[\d,./]*[ %A-Za-z-]{0,30}[.!]?\*\*[^*\n]{0,200}\s*\Z))",
        re.MULTILINE,
    ),
    # **(C) a fungus**             (a line of its own further up, if there is only one such line)
    "bold_line": re.compile(r"^[^\w\n*]*\*\*(?=\(?[A-J][.):][^\n*]{2,200}\*\*[.\s]*$)", re.MULTILINE),
}
# Rules for letters only: a number after these cues may be an intermediate result.
LETTER_RULES = ("other_language", "label", "concluded", "bold_line")

# {"step_by_step_thinking": "...", "answer_choice": "C"}, also in invalid JSON
OBJECT = {
    "object_key": re.compile(rf"(?:[\"']{_KEY}[\"']|\{{\s*{_KEY})\s*:\s*", re.IGNORECASE),
}

# All cues: a text without a cue declares nothing.
RULES = OBJECT | FINAL_LINE | SENTENCES

# The rules by weight, heaviest first. Within a tier the last cue in the text counts.
TIERS = (
    ("object_key",),
    ("final_answer", "answer_tag"),
    ("boxed", "answer_line", "answer_heading", "hashes", "a_line"),
    ("answer_is", "option_is", "chosen", "is_answer", "other_language"),
    ("label", "concluded"),
    ("is_correct",),
    ("bold",),
    ("bold_line",),
)
UNANIMOUS_TIERS = (("is_correct",), ("bold_line",))  # all cues of these tiers must declare the same answer
SUBJECT_RULES = ("is_answer", "is_correct")  # the answer stands before the cue

_BLANK = re.compile(r"[\s*]*")
_LINE_END = re.compile(r"\n|\Z")
_SENTENCE_END = re.compile(r"\n|(?<!\bapprox)(?<!\bRs)[.!?](?=\s)|\Z")
_TAG_END = re.compile(r"</|\Z")
_BRACE = re.compile(r"[{}]")
_BOLD_END = re.compile(r"\*\*|\Z")
_LIST_END = re.compile(r"\]|\Z")
_TOKEN_END = re.compile(r"[^\w.,]|\Z")
_BARE_VALUE_END = re.compile(r"\]|\}|,\s*[\"']|\n|\Z")
_CLAUSE = re.compile(r"[^.,;:!?\n]*\Z")
# Weighed, not declared: "if the answer is B", "I don't think the answer is B", "the wrong answer is B".
_HYPOTHETICAL = re.compile(
    r"\b(?:if|whether|suppose|assum\w+|unless|doubt|thought)\b"
    r"|(?:\bnot|n['\u2019]t|never|might|may|could|some|many|one)\s+(?:\w+\s+){0,2}?"
    r"(?:think|believe|agree|mean|say|argue|guess|expect|sure|certain|clear|true|follow|be that)\b"
    r"|\b(?:incorrect|wrong|previous|initial|first|tempting|common)\s+\Z",
    re.IGNORECASE,
)
# "If it is about heat, the answer would be B": a condition elsewhere in the sentence
_CONDITION, _SENTENCE_START = re.compile(r"\b(?:if|were|had)\b", re.IGNORECASE), re.compile(r"[^.;!?\n]*\Z")
_DENIED = re.compile(r"\b(?:not|no|never|neither)\b|n['\u2019]t\b", re.IGNORECASE)
_REACH = 500  # the answer stands within so many characters after a cue; a bound keeps long texts fast
_ASKS = re.compile(r"[^.!\n]{0,200}\?")


class Cue(NamedTuple):
    """A cue in a text, and the piece of text to read the answer from (character offsets)."""

    rule: str  # a key of RULES
    position: int  # where the cue starts
    start: int  # of the piece, which ends where the cue starts for SUBJECT_RULES
    end: int


def find_cues(text: str, rules: tuple[str, ...]) -> Iterator[Cue]:
    """The cues of some rules in a text, the last first, without those that only weigh an answer."""
    matches = [(match.start(), name, match) for name in rules for match in RULES[name].finditer(text)]
    for position, name, match in sorted(matches, key=lambda found: found[:2], reverse=True):
        if name not in SENTENCES or name == "boxed" or not _is_hypothetical(text, name, match):
            yield Cue(name, position, *_find_piece(text, name, match))


def first_line(text: str, start: int = 0) -> tuple[int, int]:
    """Start and end of the first line from `start` on that is not blank."""
    start = _BLANK.match(text, start).end()
    return start, _find_end(_LINE_END, text, start)


def _find_piece(text: str, name: str, match: re.Match) -> tuple[int, int]:
    if name == "object_key":
        return _find_value(text, match.end())
    if name == "boxed":
        start, braced = match.end(), match[0].endswith("{")
        return start, _find_closing_brace(text, start) if braced else _find_end(_TOKEN_END, text, start)
    if name in SUBJECT_RULES:
        start = _CLAUSE.search(text, max(0, match.start() - 200), match.start()).start()
        return start, match.start()
    if name in FINAL_LINE and name != "answer_tag":
        return first_line(text, match.end())
    start = _BLANK.match(text, match.end()).end()
    stop = {"answer_tag": _TAG_END, "bold": _BOLD_END, "bold_line": _BOLD_END}.get(name, _SENTENCE_END)
    return start, _find_end(stop, text, start)


def _find_end(stop: re.Pattern, text: str, start: int) -> int:
    """Where `stop` first matches after `start`, within _REACH."""
    return stop.search(text, start, start + _REACH).start()


def _is_hypothetical(text: str, name: str, match: re.Match) -> bool:
    clause = _CLAUSE.search(text, max(0, match.start() - 200), match.start())
    denied = name == "bold" and _DENIED.search(clause[0])
    sentence = _SENTENCE_START.search(text, max(0, match.start() - 200), match.start())
    conditional = "would" in match[0] and _CONDITION.search(sentence[0])
    return bool(denied or conditional or _HYPOTHETICAL.search(clause[0]) or _ASKS.match(text, match.end()))


def _find_value(text: str, start: int) -> tuple[int, int]:
    """The span of the value after a key: a string without quotation marks, a list without brackets, a bare value."""
    if text[start : start + 1] in ("'", '"'):
        closing = re.compile(rf"(?<!\\){text[start]}(?=\s*(?:[,}}\]]|\n|\Z))|\n|\Z")
        return start + 1, _find_end(closing, text, start + 1)
    if text[start : start + 1] == "[":
        return start + 1, _find_end(_LIST_END, text, start + 1)
    return start, _find_end(_BARE_VALUE_END, text, start)


def _find_closing_brace(text: str, start: int) -> int:
    """Where the brace that was opened before `start` closes; the end of the text if it never does."""
    depth = 1
    for match in _BRACE.finditer(text, start, start + _REACH):
        depth += 1 if match[0] == "{" else -1
        if depth == 0:
            return match.start()
    return min(len(text), start + _REACH)
