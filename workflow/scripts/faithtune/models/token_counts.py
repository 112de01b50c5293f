"""Token counts of texts, without the seconds that importing transformers takes."""

from collections.abc import Callable
from pathlib import Path


def token_counter(kind: str, folder: str | None) -> Callable[[str], int]:
    """A function that counts a text's tokens, without special tokens.

    kind: the model's, one of `settings.models.KINDS`; folder: has its tokenizer.json. Without a folder, an oracle's
    tokens are words, and a host's are estimated.
    """
    if kind == "oracle":
        from faithtune.models import oracle

        return oracle.count_tokens
    if folder is None:
        return estimate_tokens
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def estimate_tokens(text: str) -> int:
    """Tokens of a text if the tokenizer is unknown: a quarter of its bytes, the hosts' rule for English; at least 1."""
    return max(1, round(len(text.encode()) / 4))
