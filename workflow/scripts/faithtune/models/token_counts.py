"""How many tokens a text has for a model, without the seconds that importing transformers takes."""

from collections.abc import Callable
from pathlib import Path


def counter(kind: str, folder: str | None) -> Callable[[str], int]:
    """Counts a text's tokens, without special tokens.

    kind: of the model (settings.models.KINDS); folder: with its tokenizer.json. Without one an oracle counts words, and tokens
    at a host are estimated.
    """
    if kind == "oracle":
        from faithtune.models import oracle

        return oracle.count_tokens
    if folder is None:
        return estimated
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(folder, "tokenizer.json")))
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False))


def estimated(text: str) -> int:
    """Tokens of a text whose tokenizer is not known: a quarter of its bytes, as hosts say of English; at least 1."""
    return max(1, round(len(text.encode()) / 4))
