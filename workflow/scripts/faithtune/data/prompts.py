"""Prompts: what a model is asked, and where its answer starts.

Tuning and evaluation use the same conversation. The user's turn is a template of `resources/prompts` with the question
filled in. The assistant's turn is *continued*; no new turn is opened for the answer:

    with CoT      Step 1: ... Step N: ...\\nFinal Answer: B
    without CoT   Final Answer: B

The cue ends before the space in front of the answer, so that the common tokenizers start a new token with the answer.
"""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace

from faithtune.core import user_files
from faithtune.core.errors import UserError
from faithtune.data import questions

CHAIN_START = "Step 1:"
CUE = "Final Answer:"
# Stands for a tokenizer without a chat template or special tokens.
PLAIN = SimpleNamespace(chat_template=None, bos_token=None)


def read_templates(paths: Iterable[str | Path]) -> dict[str, str]:
    """Templates by file name: {"cot_choice": "... {question}", ...}; UserError if a file cannot be read."""
    return {Path(path).stem: read_template(path) for path in paths}


def read_template(path: str | Path) -> str:
    """The text of a template; UserError if its file cannot be read."""
    return user_files.text(user_files.contents(path), str(path)).strip()


def user_turn(templates: dict[str, str], form: str, question: dict) -> str:
    """The user's turn for a question (a row of QUESTIONS); form: cot or no_cot."""
    return templates[f"{form}_{question['kind']}"].replace("{question}", questions.question_block(question))


def assistant_turn(chain: str) -> str:
    """The assistant's turn up to the answer: a chain or part of it, then the cue."""
    return f"{chain}\n{CUE}" if chain else CUE


def render(tokenizer, user: str, assistant: str = "") -> str:
    """The conversation as the model sees it, with the assistant's turn left open.

    Without a chat template (a base model) the turns are separated by an empty line.
    """
    if tokenizer.chat_template is None:
        return f"{tokenizer.bos_token or ''}{user}\n\n{assistant}"
    messages = [{"role": "user", "content": user}]
    return tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=False) + assistant


def token_ids(tokenizer, text: str) -> list[int]:
    """Token ids of rendered text, to which the template has added the special tokens."""
    return tokenizer(text, add_special_tokens=False).input_ids


def answer_text(question: dict) -> str:
    """The gold answer as it follows the cue: " 42" or " B. the option's text"."""
    if question["kind"] == "number":
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
