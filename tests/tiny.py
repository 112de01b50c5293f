"""A tiny Llama with its own tokenizer, trained in seconds to write steps and a final answer.

Untrained, it would never end a chain, and the stages after the chains would have
nothing to do. It learns the form of a chain only, which is enough to test the
workflow.
"""

import importlib.util
import random
from pathlib import Path
from typing import NamedTuple

import torch
import transformers
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

from faithtune.data import forms, prompts, turns
from faithtune.data.readers import arithmetic
from faithtune.models import loading, local

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


class Family(NamedTuple):
    """How the models of a family mark the turns of a conversation."""

    template: str
    special: tuple[str, ...]  # special tokens: padding, the end of a turn, others
    bos: str | None = None
    tags: tuple[str, ...] = ()  # tokens that are no special tokens
    pieces: str | None = None  # a regular expression for what becomes tokens; None: GPT-2's, and single digits


def published_template(name: str) -> str:
    """A family's own chat template: trl has a copy of each, whose README says where it is from."""
    [package] = importlib.util.find_spec("trl").submodule_search_locations
    return Path(package, "chat_templates", f"{name}.jinja").read_text(encoding="utf-8")


PLAIN = Family(TEMPLATE, ("<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"))
_THINK = ("<think>", "</think>")
# The model opens its block itself, after a prompt that ends with the assistant's role.
QWEN3 = Family(
    published_template("qwen3"), ("<|endoftext|>", "<|im_end|>", "<|im_start|>"), tags=_THINK, pieces=PRETOKENIZE_REGEX
)
# The template opens the block, and has no switch.
DEEPSEEK = Family(
    published_template("deepseek_r1_distill"),
    ("<｜▁pad▁｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>", "<｜begin▁of▁sentence｜>"),
    bos="<｜begin▁of▁sentence｜>",
    tags=_THINK,
    pieces=PRETOKENIZE_REGEX,  # of the models distilled into Qwen
)
THINKING = {"qwen3": QWEN3, "deepseek": DEEPSEEK}


def build(folder: Path, templates: dict[str, str], steps: int = 120, family: Family = PLAIN) -> Path:
    """Train the model and save it to `folder` as safetensors, for use as a `source` in a configuration."""
    blank = _tokenizer([], family)
    blank.save_pretrained(folder)
    spoken = prompts.Turns.of(turns.settle(folder, {}, "tiny"))
    texts = [_example(templates, i, blank, spoken) for i in range(400)]
    tokenizer = _tokenizer(["".join(text) for text in texts], family)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    network = transformers.LlamaForCausalLM(config)
    _train(network, tokenizer, texts, steps)
    network.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _example(templates: dict[str, str], seed: int, tokenizer, spoken: prompts.Turns) -> tuple[str, str]:
    """A prompt and its turn, for a number or a choice, with or without a chain."""
    source = random.Random(seed)
    question = arithmetic.generate(1, seed)[0]
    if seed % 2:
        options = source.sample(["red", "green", "blue", "black", "white"], 3)
        question |= {"kind": "choice", "options": options, "answer": source.choice("ABC"), "context": None}
        steps = [f"The thing is {source.choice(options)}.", f"So it is {source.choice(options)}."]
    else:
        steps = question["rationale"].splitlines()
    asked, form = "cot" if seed % 4 < 2 else "no_cot", forms.form_of(spoken)
    user = prompts.user_turn(templates, asked, question | {"context": None})
    turn = form.answer(form.join(steps if asked == "cot" else [])) + prompts.answer_text(question)
    return prompts.render(tokenizer, user, turns=spoken), f"{turn}{tokenizer.eos_token}"


def _tokenizer(texts: list[str], family: Family = PLAIN):
    model = Tokenizer(models.BPE())
    first = pre_tokenizers.Digits(individual_digits=True)
    if family.pieces:
        first = pre_tokenizers.Split(Regex(family.pieces), "isolated")
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=family.pieces is None)
    model.pre_tokenizer = pre_tokenizers.Sequence([first, to_bytes])
    model.decoder = decoders.ByteLevel()
    special = list(family.special)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    model.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=alphabet)
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=model,
        eos_token=special[1],
        pad_token=special[0],
        bos_token=family.bos,
        chat_template=family.template,
    )
    tokenizer.add_tokens(list(family.tags))
    return tokenizer


def _train(network, tokenizer, texts: list[tuple[str, str]], steps: int) -> None:
    """Next-token training on the turns, not the prompts."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    source = random.Random(0)
    for _ in range(steps):
        batch = source.sample(texts, 8)
        rows = [prompts.token_ids(tokenizer, prompt + turn) for prompt, turn in batch]
        starts = [len(prompts.token_ids(tokenizer, prompt)) for prompt, _ in batch]
        width = max(map(len, rows))
        ids = torch.tensor([row + [tokenizer.pad_token_id] * (width - len(row)) for row in rows])
        labels = torch.tensor(
            [
                [-100] * start + row[start:] + [-100] * (width - len(row))
                for row, start in zip(rows, starts, strict=True)
            ]
        )
        loss = network(input_ids=ids, attention_mask=(ids != tokenizer.pad_token_id).long(), labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def model(folder: Path, **sizes) -> local.LocalModel:
    """The saved model as a backend, in float32."""
    spoken = prompts.Turns.of(turns.settle(folder, {}, "tiny"))
    return local.LocalModel(
        loading.load_tokenizer(folder),
        lambda: loading.load_base(folder, "none", "float32", "cpu"),
        turns=spoken,
        **sizes,
    )
