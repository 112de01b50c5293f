"""A small random Llama and its tokenizer, made in memory in a fraction of a second.

For quick tests of what must hold of every model. It knows nothing; a test that needs a model which writes steps and
answers uses the fixture `tiny_model`.
"""

import functools

import tiny
import torch
import transformers

from faithtune.data.questions import LETTERS
from faithtune.models import local

torch.set_num_threads(1)  # more cost such small products more than they save

# Enough for single digits, letters that are one token after the cue, and words of several tokens.
_TEXTS = [
    f"Final Answer: {letter}. {word} plus {i}" for i in range(10) for letter in LETTERS for word in ("red", "blue")
]


@functools.cache
def tokenizer():
    """A byte-level tokenizer with the tiny model's chat template."""
    return tiny._tokenizer(_TEXTS)


def network(seed: int = 0, **changed):
    """A random Llama in float32 whose attention is the prefix tree's."""
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        **{
            "vocab_size": len(tokenizer()),
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 2048,
            "initializer_range": 0.3,  # of trained size, so that what a token sees changes what it says
            "eos_token_id": tokenizer().eos_token_id,
            "pad_token_id": tokenizer().pad_token_id,
            "bos_token_id": None,
            "attn_implementation": "tree",
        }
        | changed
    )
    return transformers.LlamaForCausalLM(config).eval()


def model(net=None, **sizes) -> local.LocalModel:
    """A network, a random one by default, as a backend."""
    net = net or network()
    return local.LocalModel(tokenizer(), lambda: net, **sizes)
