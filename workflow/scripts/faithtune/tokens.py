"""How many tokens a text has for a model, without the seconds that importing transformers takes."""

from collections.abc import Callable
from pathlib import Path


def counter(model: dict | None) -> Callable[[str], int]:
    """Counts a text's tokens in the model's own tokenizer, without special tokens.

    `model` is the content of model.json; None for an oracle, which has no weights.
    """
    if model is None:
        from faithtune import oracle

        return oracle.count_tokens
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model["path"], "tokenizer.json")))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))
