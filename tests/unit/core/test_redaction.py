"""No key stays in a text: not plain, not as a library writes it, not as a host quotes it."""

import json
import string
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core.redaction import MARK, redacted

# Values of environment variables, without the characters of the mark itself.
LETTERS = "".join(letter for letter in string.printable if letter not in "[]\r\n\x0b\x0c")
SECRETS = st.text(LETTERS, min_size=4, max_size=60).filter(lambda text: len(text.strip()) >= 4 and text not in MARK)
TEXTS = st.text(max_size=60)


def quoted(secret: str) -> str:
    return f"={quote(secret, safe='')}&"


@given(TEXTS, SECRETS, TEXTS)
def test_no_configured_value_is_left(before, secret, after):
    assert secret.strip() not in redacted(before + secret + after, [None, secret])


@given(TEXTS, SECRETS, TEXTS, st.sampled_from([json.dumps, repr, quoted]))
def test_however_it_is_written(before, secret, after, write):
    written = write(secret)[1:-1]
    left = redacted(before + written + after, [secret])
    assert written not in left
    assert secret.strip() not in left


@given(st.lists(SECRETS, min_size=2, max_size=4), TEXTS)
def test_one_secret_within_another(secrets, text):
    secrets.append(secrets[0] + secrets[1])
    left = redacted(text.join(secrets), secrets)
    assert not [secret for secret in secrets if secret.strip() in left]


@given(st.text(string.ascii_letters + " .,:;\n()0123456789", max_size=200))
def test_plain_text_stays_as_it_is(text):
    assert redacted(text, ["", None, "x"]) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "Incorrect API key provided: sk-proj-****************abcd. You can find your API key at https://a.b/c.",
            "Incorrect API key provided: [key]. You can find your API key at https://a.b/c.",
        ),
        ("key sk-abcDEF123456ghiJKL7 refused", "key [key] refused"),
        ("Authorization: Bearer abc.def-123=", "Authorization: Bearer [key]"),
        ("GET https://me:word@host/v1/models", "GET https://[key]@host/v1/models"),
    ],
)
def test_what_looks_like_a_key(text, expected):
    assert redacted(text) == expected


@pytest.mark.parametrize("masked", ["Zyx9vut...", "Zyx9****onm", "Zyx9…nm"])
def test_a_configured_key_that_the_host_masks(masked):
    assert redacted(f"key {masked} is wrong", ["Zyx9vutsRqponm"]) == "key [key] is wrong"


@pytest.mark.parametrize(
    "text",
    [
        "task-oriented desk-lamp, risk-free; sk-learn",
        "hf_hub_download fw_something pk_columns",
        "**bold** and *** and 2 ** 3 and a…",
        "model gpt-4.1-2025-04-14 of ft:gpt-4o-mini-2024-07-18:org::9yTaC31L",
        "request req_011CSHoEeqs5C35K2UUqR7Fy took https://host:8000/v1/completions",
    ],
)
def test_other_text_is_no_key(text):
    assert redacted(text) == text
