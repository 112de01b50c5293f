"""The local backend: batches and the prefix tree change the speed, never an answer (float32)."""

import dataclasses
from collections.abc import Callable

import pytest
import tiny
import torch

import small
from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.forms import STEPS
from faithtune.data.readers import arithmetic
from faithtune.extraction import steps
from faithtune.models import loading, padded
from faithtune.models.backend import Query
from faithtune.models.tree import Tree
from faithtune.models.tree_cache import TreeCache

QUESTIONS = arithmetic.generate(8, seed=3)


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny.model(tiny_model, batch_size=3, max_packed_tokens=300)


@pytest.fixture(scope="module")
def texts(model, templates):
    users = [prompts.user_turn(templates, "cot", question) for question in QUESTIONS]
    return [model.render(user, prompts.CHAIN_START) for user in users]


@torch.inference_mode()
def plainly(model, text: str, n: int) -> list[int]:
    """Greedy decoding, token by token, without cache, batches or `generate`."""
    ids = model.token_ids(text)
    for _ in range(n):
        ids.append(model.network(torch.tensor([ids])).logits[0, -1].argmax().item())
        if ids[-1] == model.tokenizer.eos_token_id:
            break
    return ids[len(model.token_ids(text)) :]


def test_generation_is_plain_greedy_decoding(model, texts):
    completions = dict(model.generate(texts, 48))
    assert sorted(completions) == list(range(len(texts)))
    for i, text in enumerate(texts):
        expected = plainly(model, text, 48)
        finished = expected[-1] == model.tokenizer.eos_token_id
        expected = expected[:-1] if finished else expected
        assert completions[i].text == model.tokenizer.decode(expected)
        assert (completions[i].n_tokens, completions[i].finished) == (len(expected), finished)


def test_a_text_cut_at_the_limit_is_not_finished(model, texts):
    completions = dict(model.generate(texts, 3))
    assert {(one.n_tokens, one.finished) for one in completions.values()} == {(3, False)}


def test_the_end_rule_finishes_a_text(model, texts):
    completions = dict(model.generate(texts, 48, ended=lambda text: "=" in text))
    assert all(one.finished and one.n_tokens < 48 for one in completions.values())
    assert all(one.text.count("=") == 1 and one.text.endswith("=") for one in completions.values())
    assert all(one.n_tokens == model.count_tokens(one.text) for one in completions.values())


def queries_about(model, templates, question):
    user = prompts.user_turn(templates, "cot", question)
    chains = ["", "Step 1: 3 + 4 = 7.", "Step 1: 3 + 4 = 7.\nStep 2: 7 * 2 = 14.", "Step 1: 3 + 5 = 8."]
    rendered = [model.render(user, STEPS.answer(chain)) for chain in chains]
    return [Query(text, reference="14") for text in [*rendered, rendered[1]]]


def in_order(answers) -> list:
    """The answers in the order of their queries."""
    return [answer for _, answer in sorted(answers, key=lambda pair: pair[0])]


def line_ended(text: str) -> bool:
    return "\n" in text


def drafts() -> dict[str, Callable]:
    """Kinds of drafts."""
    return {
        "none": lambda one: None,
        "right": lambda one: one.text,
        "wrong": lambda one: " 9x",
        "wrong later": lambda one: one.text[:2] + "7,7",
        "too long": lambda one: one.text + " 1 2 3",
    }


@pytest.mark.parametrize("limit", [1, 2, 8])
@pytest.mark.parametrize("kind", ["none", "right", "wrong", "wrong later", "too long"])
@pytest.mark.parametrize("stacked", [False, True])
def test_packed_answers_are_plain_ones(model, templates, limit, kind, stacked):
    """A number is the same alone, in padded batches and in the tree, whatever the draft."""
    queries = [query for question in QUESTIONS for query in queries_about(model, templates, question)]
    alone = in_order(padded.answer(model, queries, limit, line_ended))
    assert any(one.finished for one in alone) == (limit == 8)
    draft = drafts()[kind]
    queries = [dataclasses.replace(query, draft=draft(one)) for query, one in zip(queries, alone, strict=True)]
    model.cache.stacked = stacked
    answers = [one for half in (queries[:20], queries[20:]) for one in in_order(model.answer(half, limit, line_ended))]
    for query, one, expected in zip(queries, answers, alone, strict=True):
        assert (one.text, one.finished) == (expected.text, expected.finished)
        assert one.p_reference == pytest.approx(probability(model, query.prompt, " 14"), abs=1e-4)


def test_plain_answers_are_greedy_decoding(model, templates):
    queries = queries_about(model, templates, QUESTIONS[0])
    for query, one in zip(queries, in_order(padded.answer(model, queries, 6, line_ended)), strict=True):
        expected = plainly(model, query.prompt, 6)
        finished = expected[-1] == model.tokenizer.eos_token_id
        assert one.text == model.tokenizer.decode(expected[:-1] if finished else expected)
        assert one.finished == finished


def test_a_right_draft_costs_one_pass(model, templates, monkeypatch):
    [query, *_] = queries_about(model, templates, QUESTIONS[0])
    [answer] = in_order(model.answer([query], 8, line_ended))
    assert len(answer.text) > 2

    def passes(draft):
        calls, fresh = [], TreeCache(lambda: model.network)
        forward = fresh.forward
        monkeypatch.setattr(fresh, "forward", lambda wanted: calls.append(wanted) or forward(wanted))
        monkeypatch.setattr(model, "cache", fresh)
        assert in_order(model.answer([dataclasses.replace(query, draft=draft)], 8, line_ended)) == [answer]
        return len(calls)

    assert passes(answer.text) == 2 < passes(None)


def test_memory_groups_fill_the_memory_and_keep_only_the_trunk(tiny_model, templates):
    model = tiny.model(tiny_model, max_packed_tokens=600)
    groups = [[query.prompt for query in queries_about(model, templates, question)] for question in QUESTIONS]
    seen = []
    for together in model.memory_groups(groups):
        before = len(model.cache.tree)
        known = [len(model.cache.tree.known_prefix(model.token_ids(text))) for i in together for text in groups[i]]
        assert before == (max(known) if seen else 0)
        assert before < 300  # only the prefix that all prompts share
        in_order(model.answer([Query(text) for i in together for text in groups[i]], 2, line_ended))
        assert len(model.cache.tree) < 600 + 60  # and new tokens
        seen += together
    assert seen == list(range(len(groups)))
    distinct = Tree()
    for group in groups:
        for text in group:
            distinct.insert(model.token_ids(text))
    written = len(groups) * 4  # of the two new tokens one is computed, for each distinct prompt
    assert len(distinct) <= model.cache.n_computed <= len(distinct) + written


@torch.inference_mode()
def probability(model, prompt: str, answer: str) -> float:
    """Probability of an answer that no digit follows, by one forward pass over the whole text."""
    start, ids = len(model.token_ids(prompt)), model.token_ids(prompt + answer)
    p = model.network(torch.tensor([ids])).logits[0].double().softmax(-1)
    value = 1.0
    for position in range(start, len(ids)):
        value *= p[position - 1, ids[position]].item()
    digits = [model.tokenizer.convert_tokens_to_ids(digit) for digit in "0123456789"]
    return value * (1 - p[-1, digits].sum().item())


def test_letters_have_the_probabilities_of_one_forward_pass(model, templates):
    question = QUESTIONS[0] | {"kind": "choice", "options": ["red", "green", "blue"], "answer": "A"}
    user = prompts.user_turn(templates, "cot", question)
    prompt = model.render(user, STEPS.answer("Step 1: It is red."))
    [answer] = in_order(model.answer([Query(prompt, n_options=3)], 8, bool))
    [alone] = in_order(padded.answer(model, [Query(prompt, n_options=3)], 8, bool))
    assert answer.probabilities == pytest.approx(alone.probabilities, abs=1e-5)
    with torch.inference_mode():
        logits = model.network(torch.tensor([model.token_ids(prompt)])).logits[0, -1]
    letters = prompts.option_token_ids(model.tokenizer, 3)
    assert answer.probabilities == pytest.approx(logits[letters].softmax(-1).tolist(), abs=1e-5)
    assert answer.option_mass == pytest.approx(logits.softmax(-1)[letters].sum().item(), abs=1e-5)


def test_nf4_expanded_is_nf4_as_bitsandbytes_computes_it(tiny_model, tmp_path):
    import bitsandbytes
    import transformers

    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    packed = transformers.AutoModelForCausalLM.from_pretrained(
        tiny_model, dtype=torch.float32, quantization_config=config, device_map={"": "cpu"}
    )
    layers = [layer for layer in packed.modules() if isinstance(layer, bitsandbytes.nn.Linear4bit)]
    assert layers
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False
    ids = torch.randint(5, 100, (2, 20))
    loaded = [loading.load_base(tiny_model, "nf4", "float32", "cpu", expanded=tmp_path / "nf4") for _ in range(2)]
    exact = loading.load_base(tiny_model, "none", "float32", "cpu")
    with torch.inference_mode():
        expected = packed(ids).logits
        for network in loaded:  # expanded, then read from disk
            assert torch.equal(network(ids).logits, expected)
        assert not torch.equal(exact(ids).logits, expected)
    assert [path.name for path in tmp_path.iterdir()] == ["nf4"]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float32"])
def test_nf4_is_computed_in_the_studys_type(monkeypatch, dtype):
    import transformers

    class Loaded(Exception):
        """Stops before a network is loaded."""

    def from_pretrained(folder, **settings):
        assert settings["dtype"] == settings["quantization_config"].bnb_4bit_compute_dtype == getattr(torch, dtype)
        assert settings["quantization_config"].bnb_4bit_quant_type == "nf4"
        raise Loaded

    monkeypatch.setattr(transformers.AutoModelForCausalLM, "from_pretrained", from_pretrained)
    with pytest.raises(Loaded):
        loading.load_base("somewhere", "nf4", dtype, "cpu")


@pytest.mark.parametrize("damage", ["a byte", "no hash"])
def test_damaged_expanded_weights_are_made_again(tiny_model, tmp_path, damage, capsys):
    def logits():
        with torch.inference_mode():
            network = loading.load_base(tiny_model, "nf4", "float32", "cpu", expanded=tmp_path / "nf4")
            return network(torch.arange(5, 25)[None]).logits

    expected = logits()
    if damage == "a byte":
        with open(tmp_path / "nf4/model.safetensors", "r+b") as file:
            file.seek(-10_000, 2)
            file.write(b"7")
    else:  # as in earlier versions
        (tmp_path / "nf4/sha256").unlink()
    assert torch.equal(logits(), expected)
    assert f"{tmp_path / 'nf4'}: damaged; it is now " in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nf4", "nf4.damaged"]
    assert torch.equal(logits(), expected)
    assert "damaged" not in capsys.readouterr().err


def test_damaged_expanded_weights_that_cannot_be_renamed_are_not_loaded(tiny_model, tmp_path, monkeypatch):
    def denied(path):
        raise PermissionError(1, "Operation not permitted")

    loading.load_base(tiny_model, "nf4", "float32", "cpu", expanded=tmp_path / "nf4")
    (tmp_path / "nf4/sha256").write_text("another")
    monkeypatch.setattr(loading.damage, "set_aside", denied)
    with pytest.raises(UserError, match=r"nf4: damaged, and it could not be renamed \(.*\); delete it"):
        loading.load_base(tiny_model, "nf4", "float32", "cpu", expanded=tmp_path / "nf4")


def test_an_adapter_leaves_the_base_as_it_is(tiny_model, tmp_path):
    """The rotary frequencies stay float32 in bfloat16: base and tuned see the same positions."""
    from peft import LoraConfig, get_peft_model

    base = loading.load_base(tiny_model, "none", "bfloat16", "cpu")
    get_peft_model(base, LoraConfig(r=2, target_modules="all-linear")).save_pretrained(tmp_path)
    card, arm = {"path": str(tiny_model)}, {"adapter": "lora", "path": str(tmp_path)}
    tuned = loading.load_network(card, arm, "none", "bfloat16", "cpu")
    base = loading.load_network(card, None, "none", "bfloat16", "cpu")
    buffers = {name: buffer.dtype for name, buffer in tuned.named_buffers() if "inv_freq" in name}
    assert set(buffers.values()) == {torch.float32}
    ids = torch.randint(5, 100, (1, 200))
    with torch.inference_mode(), tuned.disable_adapter():
        assert torch.equal(tuned(ids).logits, base(ids).logits)


def test_in_float32_on_a_cpu_an_adapter_is_merged_which_changes_the_last_digits(tiny_model, tmp_path):
    from peft import LoraConfig, PeftModel, get_peft_model

    torch.manual_seed(0)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    get_peft_model(loading.load_base(tiny_model, "none", "float32", "cpu"), config).save_pretrained(tmp_path)
    card, arm = {"path": str(tiny_model)}, {"adapter": "lora", "path": str(tmp_path)}
    merged = loading.load_network(card, arm, "none", "float32", "cpu")
    attached = PeftModel.from_pretrained(loading.load_base(tiny_model, "none", "float32", "cpu"), tmp_path)
    base = loading.load_network(card, None, "none", "float32", "cpu")
    ids = torch.randint(5, 100, (2, 64))
    with torch.inference_mode():
        tuned, expected, untuned = (one(ids).logits for one in (merged, attached, base))
    assert torch.allclose(tuned, expected, atol=1e-4) and not torch.allclose(tuned, untuned, atol=0.1)
    assert not [name for name, _ in merged.named_modules() if "lora" in name]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_answers_again_come_from_another_batch(tiny_model, texts, dtype):
    model = tiny.model(tiny_model)
    model.network.to(getattr(torch, dtype))
    queries = [Query(f"{text}\nFinal Answer:", 3 * (i % 2), draft=" 42") for i, text in enumerate(texts)]
    first, again = (dict(answer(queries, 8, steps.line_ended)) for answer in (model.answer, model.answer_again))
    assert first.keys() == again.keys() == set(range(len(queries)))
    for i in first:
        assert first[i].probabilities == pytest.approx(again[i].probabilities, abs=1e-4 if dtype == "float32" else 0.05)
        if dtype == "float32":
            assert (first[i].text, first[i].finished) == (again[i].text, again[i].finished)
        assert again[i].p_reference is None


def test_decoding_is_greedy_whatever_a_model_recommends(tiny_model, texts, model, tmp_path):
    for path in tiny_model.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "generation_config.json").write_text(
        '{"eos_token_id": 1, "pad_token_id": 0, "repetition_penalty": 5.0, "do_sample": true, "temperature": 2.0}'
    )
    recommended = tiny.model(tmp_path, batch_size=3)
    expected = dict(model.generate(texts, 24))
    assert (
        dict(recommended.generate(texts, 24))
        == dict(padded.generate(recommended, texts, 24, lambda text: False))
        == expected
    )


# A random network: what holds for every model can be tested on it in milliseconds.
TURNS = ["", "Step 1: red plus 3.", "Step 1: red plus 3.\nStep 2: blue plus 4.", "Step 1: blue plus 3."]


@pytest.fixture(scope="module")
def random():
    return small.model(batch_size=3, max_packed_tokens=40)


def queries_of(model, **about) -> list[Query]:
    """The same turns of two questions, one of them twice."""
    users = ("How many?", "How many are red or blue?")
    queries = [Query(model.render(user, STEPS.answer(turn)), **about) for user in users for turn in TURNS]
    return [*queries, queries[1]]


def decode(model, ids: list[int]) -> str:
    return model.tokenizer.decode(ids, skip_special_tokens=True)


@torch.inference_mode()
def logits_after(model, text: str) -> torch.Tensor:
    """Next-token logits of one forward pass, by transformers' eager attention."""
    model.network.set_attn_implementation("eager")
    logits = model.network(torch.tensor([model.token_ids(text)]), use_cache=False).logits[0, -1]
    model.network.set_attn_implementation("tree")
    return logits


@pytest.mark.parametrize("stacked", [False, True])
def test_a_random_network_has_the_letters_of_whole_prompts(random, stacked):
    queries, ids = queries_of(random, n_options=3), prompts.option_token_ids(random.tokenizer, 3)
    groups = [queries[:4], queries[4:8], queries[8:]]
    seen = []
    for together in random.memory_groups([[query.prompt for query in group] for group in groups]):
        random.cache.stacked = stacked
        here = [query for i in together for query in groups[i]]
        found = [one for half in (here[:2], here[2:]) for one in in_order(random.answer(half, 8, line_ended))]
        for query, answer in zip(here, found, strict=True):
            logits = logits_after(random, query.prompt)
            assert answer.probabilities == pytest.approx(logits[ids].softmax(-1).tolist(), abs=1e-4)
            assert answer.option_mass == pytest.approx(logits.softmax(-1)[ids].sum().item(), abs=1e-4)
        seen.append(together)
    assert [i for pack in seen for i in pack] == [0, 1, 2] and len(seen) > 1
    for query, alone in zip(queries, in_order(padded.answer(random, queries, 8, line_ended)), strict=True):
        logits = logits_after(random, query.prompt)
        assert alone.probabilities == pytest.approx(logits[ids].softmax(-1).tolist(), abs=1e-4)


def test_a_random_network_has_the_numbers_of_whole_prompts(random):
    queries = queries_of(random, reference="14")
    queries[::2] = [dataclasses.replace(query, draft=" 1x") for query in queries[::2]]
    answers = in_order(random.answer(queries, 4, line_ended))
    assert len({one.text for one in answers}) > 2
    for query, one in zip(queries, answers, strict=True):
        assert one.p_reference == pytest.approx(probability(random, query.prompt, " 14"), rel=1e-3)
        written = plainly(random, query.prompt, 4)
        ends = [i for i in range(len(written)) if line_ended(decode(random, written[: i + 1]))]
        expected = written[: ends[0] + 1] if ends else written
        stopped = expected[-1] == random.tokenizer.eos_token_id
        assert one.text == decode(random, expected[:-1] if stopped else expected)
        assert one.finished == (stopped or bool(ends))
    drafted = [dataclasses.replace(query, draft=one.text) for query, one in zip(queries, answers, strict=True)]
    assert [one.text for one in in_order(random.answer(drafted, 4, line_ended))] == [one.text for one in answers]
    alone = in_order(padded.answer(random, queries, 4, line_ended))
    assert [(one.text, one.finished) for one in alone] == [(one.text, one.finished) for one in answers]


def test_a_random_network_has_the_chains_of_greedy_decoding(random):
    texts = [query.prompt for query in queries_of(random)]
    completions = dict(random.generate(texts, 8))
    assert sorted(completions) == list(range(len(texts)))
    assert len({one.text for one in completions.values()}) > 2
    for i, text in enumerate(texts):
        written = plainly(random, text, 8)
        stopped = written[-1] == random.tokenizer.eos_token_id
        expected = written[:-1] if stopped else written
        assert (completions[i].text, completions[i].n_tokens) == (decode(random, expected), len(expected))
        assert completions[i].finished == stopped


def test_what_was_tuned_is_what_is_asked(tmp_path):
    """An adapter is attached to its base; a full tuning has a network of its own."""
    from peft import LoraConfig, get_peft_model

    ids, card = torch.arange(5, 25)[None], {"path": str(tmp_path / "base")}
    arm = {adapter: {"adapter": adapter, "path": str(tmp_path / adapter)} for adapter in ("lora", "full")}
    base, other = small.network(0), small.network(1)
    with torch.inference_mode():
        expected = {None: base(ids).logits, "full": other(ids).logits}
        base.save_pretrained(card["path"])
        other.save_pretrained(arm["full"]["path"])
        torch.manual_seed(1)
        tuned = get_peft_model(base, LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)).eval()
        tuned.save_pretrained(arm["lora"]["path"])
        expected["lora"] = tuned(ids).logits
        for adapter, logits in expected.items():
            network = loading.load_network(card, adapter and arm[adapter], "none", "float32", "cpu").eval()
            torch.testing.assert_close(network(ids).logits, logits, rtol=1e-4, atol=1e-4)
    assert (expected[None] - expected["lora"]).abs().max() > 1e-2
