"""How a conversation is written, by the chat templates that models are published with."""

import pytest
import tiny

from faithtune.core.errors import UserError
from faithtune.data import forms, prompts, turns
from faithtune.data.prompts import Turns

TAGS = ["<think>\n", "\n</think>\n\n"]
CHATML = ("<|endoftext|>", "<|im_end|>", "<|im_start|>")
FAMILIES = {
    **tiny.THINKING,
    **{name: tiny.Family(tiny.published_template(name), CHATML) for name in ("qwen3_5_think", "qwen3_5_nothink")},
}
SWITCHED = ["qwen3", "qwen3_5_think", "qwen3_5_nothink"]  # have the variable enable_thinking
OTHERS = {name: tiny.Family(tiny.published_template(name), CHATML, "<s>") for name in ("llama3", "phi3", "qwen2_5")}
OTHERS["tiny"] = tiny.PLAIN


@pytest.fixture
def conversation(tmp_path):
    """conversation(FAMILY, KEY=VALUE): its tokenizer, and its turns where the configuration says so much of them."""

    def settled(family, file=None, **given):
        tokenizer = tiny._tokenizer([], family)
        tokenizer.save_pretrained(tmp_path)
        return tokenizer, Turns.of(turns.settle(tmp_path, given, "models.m", file))

    return settled


def ask(tokenizer, spoken, turn=""):
    return prompts.render(tokenizer, "Hello", turn, spoken)


def own(tokenizer, **variables):
    """The prompt by the chat template itself."""
    return tokenizer.apply_chat_template(
        [{"role": "user", "content": "Hello"}], add_generation_prompt=True, tokenize=False, **variables
    )


@pytest.mark.parametrize("name", FAMILIES)
def test_templates_of_models_that_think_are_known_by_their_prompts(conversation, name):
    tokenizer, spoken = conversation(FAMILIES[name])
    assert spoken == Turns(thinking=TAGS, enable_thinking=True)
    form = forms.form_of(spoken)
    opened = own(tokenizer, enable_thinking=True)
    opened += "" if opened.endswith("<think>\n") else "<think>\n"  # Qwen3 leaves that to the model
    assert ask(tokenizer, spoken, form.start(True)) == opened
    if name in SWITCHED:
        assert ask(tokenizer, spoken, form.answer("")) == own(tokenizer, enable_thinking=False) + "Final Answer:"


@pytest.mark.parametrize("name", SWITCHED)
def test_a_chain_stands_where_the_template_puts_the_reasoning(conversation, name):
    tokenizer, spoken = conversation(FAMILIES[name])
    form = forms.form_of(spoken)
    said = {"role": "assistant", "reasoning_content": "a b\n\nc d", "content": "Final Answer: 4"}
    whole = tokenizer.apply_chat_template([{"role": "user", "content": "Hello"}, said], tokenize=False)
    turn = form.answer(form.join(["a b", "c d"])) + " 4"
    assert whole == ask(tokenizer, spoken, turn) + "<|im_end|>\n"


@pytest.mark.parametrize("name", OTHERS)
def test_other_prompts_are_those_of_the_template(conversation, name):
    tokenizer, spoken = conversation(OTHERS[name])
    assert spoken == prompts.USUAL
    assert ask(tokenizer, spoken, "Step 1:") == own(tokenizer) + "Step 1:"


@pytest.mark.parametrize("name", FAMILIES)
def test_thinking_switched_off(conversation, name):
    tokenizer, spoken = conversation(FAMILIES[name], thinking=False)
    assert forms.form_of(spoken) is forms.STEPS
    assert ask(tokenizer, spoken, "Step 1:").endswith("<think>\n\n</think>\n\nStep 1:")
    assert ask(tokenizer, spoken).count("<think>") == 1
    assert conversation(tiny.PLAIN, thinking=False)[1] == prompts.USUAL


def test_declared_tags(conversation):
    tags = {"open": "<reason>", "close": "</reason>"}
    tokenizer, spoken = conversation(tiny.PLAIN, thinking=tags)
    form = forms.form_of(spoken)
    assert ask(tokenizer, spoken, form.answer("a")) == own(tokenizer) + "<reason>\na\n</reason>\n\nFinal Answer:"
    opened = tiny.PLAIN._replace(template=tiny.TEMPLATE.replace("<|assistant|>\n", "<|assistant|>\n<reason> "))
    tokenizer, spoken = conversation(opened, thinking=tags)
    assert ask(tokenizer, spoken, forms.form_of(spoken).start(True)) == own(tokenizer)


def test_a_tag_that_no_text_holds_is_refused(conversation):
    with pytest.raises(UserError, match=r"^models\.m: for its tokenizer <\|user\|> is a special token"):
        conversation(tiny.PLAIN, thinking={"open": "<a>", "close": "<|user|>"})


def test_a_system_prompt_stands_before_the_question(conversation):
    tokenizer, spoken = conversation(tiny.PLAIN, system="Be brief.")
    assert ask(tokenizer, spoken, "So") == "<|system|>\nBe brief.<|end|>\n<|user|>\nHello<|end|>\n<|assistant|>\nSo"
    base, spoken = conversation(tiny.PLAIN._replace(template=None), system="Be brief.")
    assert ask(base, spoken, "So") == "Be brief.\n\nHello\n\nSo"


def test_another_chat_template_replaces_the_tokenizers(conversation):
    other = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    tokenizer, spoken = conversation(tiny.PLAIN, chat_template=other)
    assert ask(tokenizer, spoken, "So") == "[Hello]So"
    assert conversation(tiny.PLAIN, chat_template=tiny.QWEN3.template)[1].thinking == TAGS


@pytest.mark.parametrize(
    ("template", "system", "message"),
    [
        ("{% for m in", None, r"a\.jinja: the chat template cannot be rendered \(unexpected 'end of template'"),
        ("{{ raise_exception('no such role') }}", None, r"a\.jinja: .* cannot be rendered \(no such role\)$"),
        ("{{ messages[-1].content.nothing.there }}", None, r"a\.jinja: .* cannot be rendered \('str object' has no"),
        ("[{{ messages[-1]['content'] }}]", "Be brief.", r"a\.jinja: the chat template leaves the system prompt out$"),
        ("Hello", None, r"a\.jinja: the chat template leaves the question out$"),
    ],
)
def test_a_template_that_does_not_work_is_named(conversation, template, system, message):
    given = {"chat_template": template} | ({"system": system} if system else {})
    with pytest.raises(UserError, match=f"^{message}"):
        conversation(tiny.PLAIN, "a.jinja", **given)


def test_without_a_file_the_model_is_named(conversation, tmp_path):
    with pytest.raises(UserError, match=r"^models\.m: the chat template leaves the question out$"):
        conversation(tiny.PLAIN._replace(template="Hello"))
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"^models\.m: its tokenizer cannot be read \(\S"):
        turns.settle(tmp_path, {}, "models.m")


def test_behind_a_server_no_model_thinks(conversation):
    turns.refuse_thinking(conversation(tiny.PLAIN)[0], "models.m")
    for family in tiny.THINKING.values():
        with pytest.raises(UserError, match=r"^models\.m: its chat template opens a thinking block"):
            turns.refuse_thinking(conversation(family)[0], "models.m")
