"""The host held to what the configuration says of it, and its errors in one line without the key."""

import socket
import threading

import openai
import pytest
import tiny

from faithtune.core.errors import UserError
from faithtune.hosts import checks, host, session
from hosting import KEY, KEY_ENV, api, connected, stand_in
from standin import speaking
from standin.faults import Fault


@pytest.fixture(autouse=True)
def key(monkeypatch):
    monkeypatch.setenv(KEY_ENV, KEY)


@pytest.mark.parametrize("endpoint", ["chat", "completions"])
def test_a_host_with_the_declared_abilities_passes(endpoint):
    declared = ["logprobs", "seed", "batch", "tune"]
    with stand_in() as standin:
        found = host.check(connected(standin, endpoint=endpoint, abilities=declared), None)
        charged = standin.journal.charges
    assert found["endpoint"] == endpoint and found["abilities"] == declared
    assert len(charged) == 1 and charged[0].completion_tokens <= 4  # one cheap call


@pytest.mark.parametrize("ability", ["logprobs", "batch", "tune"])
def test_a_missing_ability_is_named(ability):
    with (
        stand_in(abilities={"chat", "completions", "seed"}) as standin,
        pytest.raises(UserError, match=f"models.big.api.abilities names '{ability}'"),
    ):
        host.check(connected(standin, abilities=[ability]), None)


def test_another_tokenizer_or_a_doubled_first_token_is_told():
    with stand_in() as standin, pytest.raises(UserError, match=r"tokenizer counts 99 .*add_special_tokens"):
        host.check(connected(standin), lambda text: 99)


@pytest.mark.parametrize("family", tiny.THINKING.values(), ids=tiny.THINKING)
def test_no_host_continues_a_model_that_thinks(tmp_path, family):
    """A chat has no open turn, so its tokenizer only counts."""
    tiny._tokenizer([], family).save_pretrained(tmp_path)
    asked, chat = (api(None, tokenizer=str(tmp_path), endpoint=endpoint)[0] for endpoint in ("completions", "chat"))
    with pytest.raises(UserError, match=r"^models\.big: its chat template opens a thinking block"):
        session.tokenizer_of(asked)
    assert session.tokenizer_of(chat).chat_template == family.template


@pytest.mark.parametrize("field", ["seed", "logprobs"])
def test_a_refused_field_names_the_ability(field):
    with (
        stand_in(refused=[field]) as standin,
        pytest.raises(UserError, match=rf"abilities names '{field}', but the host lacks it: it refuses the field"),
    ):
        host.check(connected(standin, abilities=["seed", "logprobs"]), None)


def test_a_prompt_put_into_a_chat_is_not_continued(monkeypatch):
    monkeypatch.setattr(speaking, "prompt_tokens", lambda body: 30)
    with (
        stand_in() as standin,
        pytest.raises(UserError, match=r"abilities names 'continue'.* 30 tokens in 11 characters"),
    ):
        host.check(connected(standin, abilities=["continue"]), None)


def test_an_answer_that_is_no_json_names_the_address():
    with stand_in() as standin, pytest.raises(UserError, match="no JSON object; expected an address up to /v1"):
        standin.script("POST /completions", *[Fault("garbled")] * 3)
        host.check(connected(standin), None)


def test_an_error_as_an_answer_is_told_in_the_hosts_words():
    with stand_in() as standin, pytest.raises(UserError, match="the host refuses a request: no provider is left"):
        standin.complete = lambda *_: {"error": {"message": "no provider is left", "code": 404}}
        host.check(connected(standin), None)


def test_an_error_whose_words_are_cut_short_is_the_clients_own():
    """The client reads the body of an error, where reading fails as the library below it has it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def refuse():
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 99\r\n\r\n{")

        thread = threading.Thread(target=refuse)
        thread.start()
        at = host.connect(*api(f"http://127.0.0.1:{server.getsockname()[1]}/v1"))
        with pytest.raises(openai.APIConnectionError):
            at.send(at.body("Q?", 9))
        thread.join()


def test_a_web_page_in_place_of_the_api_is_told(monkeypatch):
    """The client gives its text out as if it were an answer."""
    with stand_in() as standin:
        at = connected(standin, abilities=["batch"])
        monkeypatch.setattr(at.client.batches, "list", lambda **_: "<html>")
        with pytest.raises(UserError, match="abilities names 'batch', but the host lacks it"):
            host.check(at, None)


def test_no_part_of_an_address_that_is_a_secret_is_told(monkeypatch):
    monkeypatch.setenv("FAITHTUNE_TEST_URL", "http://me:s3cretword@127.0.0.1:9/v1")
    with pytest.raises(UserError, match="cannot be reached") as error:
        host.check(host.connect(*api(None, base_url_env="FAITHTUNE_TEST_URL", timeout=2.0)), None)
    assert "s3cretword" not in str(error.value)


def test_a_host_that_is_asked_too_often_is_told_of_soon(monkeypatch):
    with stand_in() as standin, pytest.raises(UserError, match="Rate limit reached"):
        standin.script("POST /completions", *[Fault("status", 429)] * 3)
        host.check(connected(standin), None)


def test_a_call_ends_with_its_timeout_however_slowly_its_answer_drips():
    with stand_in(reply=lambda body: "word " * 200) as standin:
        at = connected(standin, timeout=0.5)
        standin.script("POST /completions", Fault("slow", seconds=30))
        with pytest.raises(openai.APITimeoutError):
            at.send(at.body("Q?", 999))


def test_a_key_is_held_to_what_a_header_takes(monkeypatch):
    monkeypatch.setenv(KEY_ENV, f"{KEY}\r\n")
    with stand_in() as standin:
        host.check(connected(standin), None)  # a line end is no part of it
        monkeypatch.setenv(KEY_ENV, f"“{KEY}”")
        with pytest.raises(UserError, match=r"models\.big\.api\.api_key_env: its variable holds") as error:
            connected(standin)
    assert KEY not in str(error.value)


def test_a_chain_out_of_sight_is_refused():
    with (
        stand_in(reasoning_tokens=50) as standin,
        pytest.raises(UserError, match="reasons outside of its answer"),
    ):
        host.check(connected(standin, endpoint="chat"), None)


def test_the_key_is_in_no_error():
    with stand_in(key="another-key-altogether") as standin:
        for fault in (None, Fault("key")):
            if fault:
                standin.script("POST /completions", fault)
            with pytest.raises(UserError) as error:
                host.check(connected(standin), None)
            assert f"the host refuses the key in {KEY_ENV}" in str(error.value)
            assert KEY not in str(error.value) and KEY[:12] not in str(error.value)


def test_an_unknown_model_is_named():
    with stand_in(models={"m": {}}) as standin, pytest.raises(UserError, match="knows no model 'other'"):
        host.check(connected(standin, model="other"), None)


def test_a_host_that_is_not_there():
    with pytest.raises(UserError, match=r"http://127\.0\.0\.1:9/v1/ cannot be reached"):
        host.check(host.connect(*api("http://127.0.0.1:9/v1", timeout=2.0)), None)


@pytest.mark.parametrize("part", ["api_key_env", "base_url_env"])
def test_a_variable_that_is_not_set_is_named(part):
    with pytest.raises(UserError, match=f"models.big.api.{part}: the variable that it names is not set"):
        host.connect(*api("http://h/v1", **{part: "FAITHTUNE_NONE"}))


@pytest.mark.parametrize(
    "name",
    [
        *("o1", "o3-mini", "O3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5.1-mini", "openai/o3", "azure/openai/o3"),
        *("ft:o4-mini:x", "ft:gpt-5-mini:my-chat-org", "grok-4", "deepseek-reasoner"),
    ],
)
def test_models_that_hide_their_chain(name):
    assert checks.is_reasoning_model(name)


@pytest.mark.parametrize(
    "name", ["gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "Qwen/Qwen3-8B", "olmo-2", "ft:gpt-4o:o3", "o1x/m"]
)
def test_models_that_show_it(name):
    assert not checks.is_reasoning_model(name)
