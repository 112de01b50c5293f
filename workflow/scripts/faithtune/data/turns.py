"""Decides once how a model's conversation is written: its system prompt, its chat template, and whether it thinks.

A chat template shows what it does by the prompts that it writes with its variable `enable_thinking` on and off:

    Qwen3           ...assistant\\n               and off ...assistant\\n<think>\\n\\n</think>\\n\\n
    Qwen3.5         ...assistant\\n<think>\\n      and off ...assistant\\n<think>\\n\\n</think>\\n\\n
    DeepSeek-R1     ...<｜Assistant｜><think>\\n    on and off alike

A prompt that ends with an open block, or with a closed and empty one where thinking is off, belongs to a model that
thinks. Blocks of other tags are declared in the configuration (`models.NAME.thinking`).
"""

import re
from pathlib import Path

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.data.prompts import Turns

_OPEN = r"<(think|thinking|thought)>"
_OPENED = re.compile(rf"{_OPEN}\s*\Z")
_EMPTY = re.compile(rf"({_OPEN}\n?)\s*</\2>\s*\Z")
_PROBE = "What is 1 + 1?"


def settle(folder: str | Path, given: dict, where: str, file: str | None = None) -> dict:
    """What model.json says of a model's conversation: {"turns": fields of `Turns`}; {} if it is as tokenized.

    Args:
        folder: has the tokenizer.
        given: what the configuration says: system and chat_template (texts), thinking (False, or its tags open, close).
        where: the model's section, for errors.
        file: of the chat template that is given, for errors.

    UserError if the tokenizer cannot be read, the template cannot be rendered or drops the system prompt, or the tag
    that closes a block is none that the tokenizer writes.
    """
    tokenizer, thinking = _load_tokenizer(folder, where), given.get("thinking")
    fields = {key: given[key] for key in ("system", "chat_template") if key in given}
    on, off = _prompts(tokenizer, fields, where, file)
    block = _declared(thinking, on) if thinking else find_block(on, off)
    if block and thinking is False:
        fields |= {"enable_thinking": False, "closed": "" if _EMPTY.search(off) else block[1]}
    elif block:
        _check_tag(tokenizer, block[1].strip(), where)
        fields |= {"enable_thinking": True, "thinking": block}
        print(f"it thinks between {block[0].strip()} and {block[1].strip()}: its chain is what it writes there")
    return {"turns": fields} if fields else {}


def refuse_thinking(tokenizer, where: str) -> None:
    """UserError if the chat template is for a model that thinks, of models whose weights are not loaded here."""
    if find_block(*_prompts(tokenizer, {}, where, None)):
        raise UserError(
            f"{where}: its chat template opens a thinking block; a model that thinks is measured where its weights are"
            " loaded, not behind a server; expected a source without served, or a tokenizer without this template"
        )


def find_block(on: str, off: str) -> list[str] | None:
    """What opens and what closes the thinking block, by the prompts with thinking on and off; None if there is none.

    >>> find_block("assistant: ", "assistant: <think>\\n\\n</think>\\n\\n")
    ['<think>\\n', '\\n</think>\\n\\n']
    """
    empty = _EMPTY.search(off)
    if opened := _OPENED.search(on):
        closed = off.removeprefix(on) if empty and off.startswith(on) else f"\n</{opened[1]}>\n\n"
        return [opened[0], closed]
    if empty and not _EMPTY.search(on):
        return [empty[1], empty[0].removeprefix(empty[1])]
    return None


def _declared(tags: dict, prompt: str) -> list[str]:
    """The block of tags that the configuration declares; line ends after the first are those of the prompt."""
    opened = prompt[len(prompt.rstrip()) :] if prompt.rstrip().endswith(tags["open"]) else "\n"
    return [f"{tags['open']}{opened}", f"\n{tags['close']}\n\n"]


def _load_tokenizer(folder: str | Path, where: str):
    import transformers

    try:
        return transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except Exception as error:  # each tokenizer's class raises its own kinds
        raise UserError(f"{where}: its tokenizer cannot be read ({_first_line(error)})") from None


def _prompts(tokenizer, fields: dict, where: str, file: str | None) -> list[str]:
    """The prompts of a question with thinking on and off."""
    return [_probe(tokenizer, Turns(**fields, enable_thinking=on), where, file) for on in (True, False)]


def _probe(tokenizer, turns: Turns, where: str, file: str | None) -> str:
    """The prompt of a question; UserError if the chat template fails, or leaves the system prompt out."""
    try:
        prompt = prompts.render(tokenizer, _PROBE, turns=turns)
    except Exception as error:  # jinja's, and whatever the template's expressions raise
        raise UserError(f"{file or where}: the chat template cannot be rendered ({_first_line(error)})") from None
    for name, text in (("question", _PROBE), ("system prompt", turns.system)):
        if text and text.strip() not in prompt:
            raise UserError(f"{file or where}: the chat template leaves the {name} out")
    return prompt


def _check_tag(tokenizer, tag: str, where: str) -> None:
    ids = prompts.token_ids(tokenizer, tag)
    if tokenizer.decode(ids, skip_special_tokens=True).strip() != tag:
        raise UserError(f"{where}: for its tokenizer {tag} is a special token, which a model's text lacks")


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
