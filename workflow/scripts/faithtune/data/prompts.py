"""Prompts: what a model is asked, and where its answer starts.

Tuning and evaluation use the same conversation. The user's turn is a template of `resources/prompts` with the question
filled in. The assistant's turn is *continued*; no new turn is opened for the answer. `forms` has its texts:

    with CoT      Step 1: ... Step N: ...\\nFinal Answer: B
    without CoT   Final Answer: B

The cue ends before the space in front of the answer, so that the common tokenizers start a new token with the answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from faithtune.core import user_files
from faithtune.core.errors import UserError
from faithtune.data import questions

CHAIN_START = "Step 1:"
CUE = "Final Answer:"
# Stands for a tokenizer without a chat template or special tokens.
PLAIN = SimpleNamespace(chat_template=None, bos_token=None)


@dataclass(frozen=True)
class Turns:
    """How a model's conversation differs from its tokenizer's: `turns` of model.json, where anything does."""

    system: str | None = None  # the system prompt
    chat_template: str | None = None  # in place of the tokenizer's
    thinking: Sequence[str] | None = None  # two texts: what opens and closes the block in which the model thinks
    enable_thinking: bool | None = None  # the template's variable of that name; None: not set
    closed: str = ""  # closes the block that the template opens, where thinking is switched off

    @classmethod
    def of(cls, card: dict) -> "Turns":
        """Those of a model's card (the content of model.json)."""
        return cls(**card.get("turns", {}))


USUAL = Turns()


def read_templates(paths: Iterable[str | Path]) -> dict[str, str]:
    """Templates by file name: {"cot_choice": "... {question}", ...}; UserError if a file cannot be read."""
    return {Path(path).stem: read_template(path) for path in paths}


def read_template(path: str | Path) -> str:
    """The text of a template; UserError if its file cannot be read."""
    return user_files.text(user_files.contents(path), str(path)).strip()


def user_turn(templates: dict[str, str], form: str, question: dict) -> str:
    """The user's turn for a question (a row of QUESTIONS); form: cot or no_cot.

    Beside the templates `templates` may have the marker of options, as `marker`.
    """
    block = questions.question_block(question, templates.get("marker", questions.MARKER))
    return templates[f"{form}_{question['kind']}"].replace("{question}", block)


def render(tokenizer, user: str, assistant: str = "", turns: Turns = USUAL) -> str:
    """The conversation as the model sees it, with the assistant's turn left open.

    Without a chat template (a base model) the turns are separated by an empty line. What opens a thinking block is
    left to the assistant's turn, whether the template writes it (DeepSeek-R1) or the model (Qwen3).
    """
    template = turns.chat_template or tokenizer.chat_template
    if template is None:
        system = f"{turns.system}\n\n" if turns.system else ""
        return f"{tokenizer.bos_token or ''}{system}{user}\n\n{assistant}"
    messages = [{"role": "system", "content": turns.system}] if turns.system else []
    messages.append({"role": "user", "content": user})
    changed = {} if turns.chat_template is None else {"chat_template": template}
    if turns.enable_thinking is not None:
        changed["enable_thinking"] = turns.enable_thinking
    text = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False, **changed)
    return text.removesuffix(turns.thinking[0] if turns.thinking else "") + turns.closed + assistant


def token_ids(tokenizer, text: str) -> list[int]:
    """Token ids of rendered text, to which the template has added the special tokens."""
    return tokenizer(text, add_special_tokens=False).input_ids


def answer_text(question: dict) -> str:
    """The gold answer as it follows the cue: " 42" or " B. the option's text"."""
    if question["kind"] != "choice":
        return f" {question['answer']}"
    return f" {question['answer']}. {question['options'][ord(question['answer']) - ord('A')]}"


def option_token_ids(tokenizer, n_options: int) -> list[int]:
    """Token ids of " A", " B", ... after the cue.

    Raises UserError if the tokenizer merges a letter with the cue or splits it: then the probabilities of the letters
    cannot be read from one position.
    """
    cue = token_ids(tokenizer, CUE)
    ids = []
    for letter in questions.LETTERS[:n_options]:
        whole = token_ids(tokenizer, f"{CUE} {letter}")
        if whole[:-1] != cue:
            raise UserError(
                f"model: for its tokenizer ' {letter}' after '{CUE}' is not one token, which choice questions need"
            )
        ids.append(whole[-1])
    return ids
