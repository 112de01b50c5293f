"""What a host's JSON says: texts and their ends, likeliest tokens, errors."""

import pytest

from faithtune.hosts import responses


def chat(content, finish="stop", **message):
    return {"choices": [{"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}]}


def completion(text, finish="stop"):
    return {"choices": [{"text": text, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("response", "text", "finished"),
    [
        (chat("B"), "B", True),
        (chat(""), "", True),  # it ended its turn at once
        (chat(None), "", True),
        (chat(None, refusal="No."), "No.", True),
        (chat("", refusal="No."), "No.", True),
        (chat("Step 1", "length"), "Step 1", False),
        (chat("Step 1", "content_filter"), "Step 1", False),  # cut short in its midst
        (chat(None, "content_filter"), "", True),  # declined
        (responses.DECLINED, "", True),
        (completion(""), "", True),
        (completion(" B", "eos"), " B", True),
        (completion(" B", None), " B", True),
        (completion(" B", "tool_calls"), " B", False),
        (chat([{"type": "text", "text": "Step 1"}, {"type": "text", "text": ": x"}]), "Step 1: x", True),
    ],
)
def test_an_answer(response, text, finished):
    assert responses.is_answer(response)
    assert (responses.text(response), responses.is_finished(response)) == (text, finished)


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": ["B"]},
        chat(None, None),
        {"choices": [{"index": 0}]},
        chat(7),
        completion(" B", "abort"),
    ],
)
def test_no_answer(response):
    assert not responses.is_answer(response)


def test_likeliest_tokens_of_a_chat_that_read_alike_stay_apart():
    top = [{"token": "B", "logprob": -0.1}, {"token": "A", "logprob": -3.0}, {"token": "B", "logprob": -4.6}]
    response = chat("B")
    response["choices"][0]["logprobs"] = {"content": [{"token": "B", "logprob": -0.1, "top_logprobs": top}]}
    assert responses.places(response) == [("B", [("B", -0.1), ("A", -3.0), ("B", -4.6)])]


@pytest.mark.parametrize(
    ("logprobs", "places"),
    [
        (None, []),
        ({"content": None}, []),
        ({"content": [{"token": "B", "top_logprobs": None}]}, [("B", [])]),
        ({"tokens": [" B"], "top_logprobs": [{" B": -0.1}]}, [(" B", [(" B", -0.1)])]),
        ({"tokens": [" B"], "top_logprobs": [None]}, [(" B", [])]),
        ({"tokens": [" B"], "top_logprobs": None}, []),
    ],
)
def test_likeliest_tokens(logprobs, places):
    response = completion(" B")
    response["choices"][0]["logprobs"] = logprobs
    assert responses.places(response) == places


@pytest.mark.parametrize(
    ("response", "said"),
    [
        ({"error": {"message": "busy", "code": 502}}, {"message": "busy", "code": 502}),
        ({"error": "busy"}, {"message": "busy"}),
        (chat("B"), None),
        (chat("B") | {"error": None}, None),
    ],
)
def test_errors_that_come_as_answers(response, said):
    assert responses.error(response) == said
