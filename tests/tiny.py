"""A tiny Llama with its own tokenizer, trained in seconds to write steps and a final answer.

Untrained, it would never end a chain, and the stages after the chains would have
nothing to do. It learns the form of a chain only, which is enough to test the
workflow.
"""

import random
from pathlib import Path

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from faithtune.data import prompts
from faithtune.data.readers import arithmetic
from faithtune.models import loading, local

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}<|end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>\n{% endif %}"
)


def build(folder: Path, templates: dict[str, str], steps: int = 120) -> Path:
    """Train the model and save it to `folder` as safetensors, for use as a `source` in a configuration."""
    texts = [_example(templates, i) for i in range(400)]
    tokenizer = _tokenizer(["".join(text) for text in texts])
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


def _example(templates: dict[str, str], seed: int) -> tuple[str, str]:
    """A prompt and its turn, for a number or a choice, with or without a chain."""
    source = random.Random(seed)
    question = arithmetic.generate(1, seed)[0]
    if seed % 2:
        options = source.sample(["red", "green", "blue", "black", "white"], 3)
        question |= {"kind": "choice", "options": options, "answer": source.choice("ABC"), "context": None}
        chain = f"Step 1: The thing is {source.choice(options)}.\nStep 2: So it is {source.choice(options)}."
    else:
        chain = "\n".join(f"Step {i}: {step}" for i, step in enumerate(question["rationale"].splitlines(), 1))
    form = "cot" if seed % 4 < 2 else "no_cot"
    user = prompts.user_turn(templates, form, question | {"context": None})
    turn = prompts.assistant_turn(chain if form == "cot" else "") + prompts.answer_text(question)
    return f"<|user|>\n{user}<|end|>\n<|assistant|>\n", f"{turn}<|end|>"


def _tokenizer(texts: list[str]):
    model = Tokenizer(models.BPE())
    model.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    model.decoder = decoders.ByteLevel()
    special = ["<|pad|>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    model.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=700, special_tokens=special, initial_alphabet=alphabet)
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=model, eos_token="<|end|>", pad_token="<|pad|>", chat_template=TEMPLATE
    )


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
    return local.LocalModel(
        loading.load_tokenizer(folder), lambda: loading.load_base(folder, "none", "float32", "cpu"), **sizes
    )
