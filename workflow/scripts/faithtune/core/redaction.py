"""No key in any text that is kept: what may hold one passes through here first.

Taken out are the values of the configured key variables, however a library writes them, and whatever looks
like a key, also as hosts quote it in their errors: "Incorrect API key provided: sk-proj-****abcd".
"""

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

MARK = "[key]"
# Shorter values are no secrets but what open servers are given ("", "x", "-"); they would take words apart.
SHORTEST = 4

_TOKEN = r"[\w.~+/*…-]"
_SHAPES = (
    # Prefixes of common hosts: OpenAI and others, Groq, Hugging Face, xAI, Fireworks, NVIDIA, Tinker, Google.
    r"(?<![A-Za-z0-9])(?:sk|gsk|hf|xai|fw|nvapi|tml|pk|rk)[-_](?=[\w*….-]*[\d*…])[\w*….-]{8,}(?<!\.)",
    r"(?<![A-Za-z0-9])sk-[\w*….-]{6,}(?<!\.)",
    r"AIza[\w*…-]{16,}",
    # A part of something in stars: what a host shows of a key whose shape is not known.
    r"[\w-]{2,}\*{3,}[\w*-]*|\*{3,}[\w-]+|[\w-]{2,}…[\w-]+",
    # Where keys stand: headers, addresses.
    rf"(?i:(?<=\bbearer )|(?<=\bbasic )){_TOKEN}{{4,}}=*",
    r"(?i:(?<=api_key=)|(?<=api-key=)|(?<=apikey=)|(?<=[?&]key=)|(?<=token=))[^\s&\"'<>]+",
    r"(?<=://)[^\s/@:]+:[^\s/@]+(?=@)",
)


def redacted(text: str, secrets: Iterable[str | None] = ()) -> str:
    """`text` with "[key]" for each of `secrets` (None: a variable that is not set) and for what looks like a key."""
    values = [secret for secret in secrets if secret]
    forms = {form for value in values for form in _forms(value) if len(form) >= SHORTEST}
    known = [re.escape(form) for form in sorted(forms, key=lambda form: (-len(form), form))]
    known += [_begun(value.strip()) for value in values if len(value.strip()) >= 3 * SHORTEST]
    for pattern in ("|".join(known), "|".join(_SHAPES)):
        text = re.sub(pattern, MARK, text) if pattern else text
    return text


def _begun(secret: str) -> str:
    """Pattern of a secret's beginning where dots or stars stand for the rest."""
    return re.escape(secret[:SHORTEST]) + r"[\w-]*(?:\*{2,}|\.{2,}|…)[\w*.…-]*"


def _forms(secret: str) -> set[str]:
    """A secret as it may be written: plain, in an address, in JSON, in Python; with and without space around it."""
    plain = {secret, secret.strip()}
    escaped = {json.dumps(form)[1:-1] for form in plain} | {
        json.dumps(form, ensure_ascii=False)[1:-1] for form in plain
    }
    return (
        plain
        | escaped
        | {repr(form)[1:-1] for form in plain}
        | {quote(form, safe="", errors="replace") for form in plain}
    )
