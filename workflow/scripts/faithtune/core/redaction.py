"""Removes keys from any text that is kept or printed.

Removed are the values of the configured key variables, in all spellings that libraries use, and OpenAI-style keys,
bearer tokens and credentials in addresses, also where a host masks a part: "Incorrect API key provided: sk-proj-****".
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

MARK = "[key]"
# Shorter values are placeholders for open servers ("", "x", "-"); replacing them would take words apart.
SHORTEST = 4

_SHAPES = "|".join(
    (
        r"(?<![A-Za-z0-9])sk-[\w*….-]{6,}(?<!\.)",
        r"(?i:(?<=\bbearer ))[\w.~+/*…-]{4,}=*",
        r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)",
    )
)


def redacted(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`text` with "[key]" in place of `secrets` (None: an unset variable) and of everything that looks like a key."""
    values = [secret for secret in secrets if secret]
    forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
    known = [re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
    known += [_masked(value.strip()) for value in values if len(value.strip()) >= 3 * SHORTEST]
    for pattern in ("|".join(known), _SHAPES):
        text = re.sub(pattern, MARK, text) if pattern else text
    return text


def _masked(secret: str) -> str:
    """Pattern of a secret's beginning, followed by dots or stars for the rest."""
    return re.escape(secret[:SHORTEST]) + r"[\w-]*(?:\*{2,}|\.{2,}|…)[\w*.…-]*"


def _forms(secret: str) -> set[str]:
    """The spellings of a secret: plain, in an address, in JSON, in Python; with and without surrounding space."""
    plain = {secret, secret.strip()}
    escaped = {json.dumps(form, ensure_ascii=ascii)[1:-1] for form in plain for ascii in (True, False)}
    quoted = {quote(form, safe="", errors="replace") for form in plain}
    return plain | escaped | quoted | {repr(form)[1:-1] for form in plain}
