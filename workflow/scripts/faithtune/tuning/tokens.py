"""Training examples as tokens: the prompt is the evaluation prompt, token for token, and the rest is learnt.

Trainers get token ids, because they would tokenise a text again and repeat the special tokens of the chat template.
"""

import itertools
from collections.abc import Callable

from faithtune.core.errors import UserError
from faithtune.data import forms, prompts
from faithtune.models import loading
from faithtune.tuning import examples


def tokenise_example(
    tokenizer, templates: dict[str, str], question: dict, target: str, turns: prompts.Turns = prompts.USUAL
) -> dict:
    """input_ids and completion_mask (1: learnt) of a training example, as long as each other.

    Of a thinking block, what evaluation writes into the prompt is not learnt: its opening, and without a chain its
    closing. Raises UserError if the evaluation prompt, with "Step 1:", the opened block or the cue, is not a
    token-prefix of the example: then tuning would teach another prompt.
    """
    user, form, reasons = examples.user_turn(templates, question, target), forms.form_of(turns), target != "answer_only"

    def tokens(turn: str, end: str = "") -> list[int]:
        return prompts.token_ids(tokenizer, prompts.render(tokenizer, user, turn, turns) + end)

    ids = tokens(examples.completion(question, target, form), tokenizer.eos_token)
    for opening in ("", form.start(True) if reasons else form.answer("")):
        prompt = tokens(opening)
        if ids[: len(prompt)] != prompt:
            raise UserError(
                f"question {question['id']}: the evaluation prompt is not a token-prefix of the training example;"
                " change the templates in the prompts folder"
            )
    given = tokens(form.start(False) if reasons else form.reply(""))
    # The tokens that both begin with: a tokenizer may join the last line end of a closed block to what follows.
    common = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(ids, given, strict=False))
    n_prompt = len(list(common))
    return {"input_ids": ids, "completion_mask": [0] * n_prompt + [1] * (len(ids) - n_prompt)}


def example_counter(model: dict, templates: dict[str, str]) -> Callable[[dict], int]:
    """Counts the tokens of the example of a question with `target`, prompt included; model: its model.json."""
    tokenizer, turns = loading.load_tokenizer(model["path"]), prompts.Turns.of(model)
    return lambda question: len(
        tokenise_example(tokenizer, templates, question, question["target"], turns)["input_ids"]
    )
