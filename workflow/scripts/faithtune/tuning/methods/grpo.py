"""Group relative policy optimisation (Shao et al. 2024, arXiv 2402.03300), by TRL's GRPOTrainer.

After the evaluation prompt of a question the model writes several chains, and each is rewarded by what this project
reads in it (`reward`). vLLM writes them where it is installed and a GPU is there, transformers elsewhere.
"""

import importlib.util
import json

import polars as pl

from faithtune.core.errors import UserError
from faithtune.data import expressions, forms, prompts
from faithtune.data.forms import Form, ThinkingForm
from faithtune.extraction import extract, steps, thinking
from faithtune.models import loading
from faithtune.settings.tunings import Training
from faithtune.tuning import examples

# A column of TRAINING -> what the trainer calls it.
LOGGED = {
    "loss": "loss",
    "reward": "reward",
    "kl": "kl",
    "entropy": "entropy",
    "completion_tokens": "completions/mean_length",
    "truncated": "completions/clipped_ratio",
    "tokens": "num_tokens",
}


def prepare(model: dict, questions: pl.DataFrame, templates: dict[str, str], settings: Training) -> list[dict]:
    """For each of QUESTIONS prompt_ids, what of the assistant's turn the prompt holds, and the question as JSON."""
    if questions.height < settings.batch_size:
        raise UserError(
            f"tuning: grpo takes batch_size {settings.batch_size} questions a step, but there are {questions.height};"
            " expected a smaller batch_size"
        )
    tokenizer, turns = loading.load_tokenizer(model["path"]), prompts.Turns.of(model)
    start = forms.form_of(turns).start(settings.forced_start)
    return [
        {
            "prompt_ids": prompts.token_ids(
                tokenizer,
                prompts.render(tokenizer, examples.user_turn(templates, question, "rationale"), start, turns),
            ),
            "start": start,
            "question": json.dumps({key: question[key] for key in ("kind", "options", "answer")}),
            "thinking": list(turns.thinking or []),
        }
        for question in questions.to_dicts()
    ]


def make_trainer(network, settings: Training, rows: list[dict], common: dict, device: str):
    """The trainer on rows of `prepare`; common: what `train.make_trainer` gives to every method."""
    import datasets
    import trl

    asked, known = settings.grpo, {str(i): row["prompt_ids"] for i, row in enumerate(rows)}
    tokenizer = common["trainer"]["processing_class"]

    class Trainer(trl.GRPOTrainer):
        def _tokenize_prompts(self, names):
            return [known[name] for name in names], None, {}  # prompts are token ids already

    def rewards(completion_ids: list[list[int]], **columns) -> list[float]:
        about = zip(completion_ids, columns["start"], columns["question"], columns["thinking"], strict=True)
        return [
            reward(
                json.loads(question),
                start + tokenizer.decode(ids, skip_special_tokens=True),
                len(ids) < asked.max_new_tokens or ids[-1] == tokenizer.eos_token_id,
                forms.form_of(prompts.Turns(thinking=tags or None)),
                asked.form_reward,
            )
            for ids, start, question, tags in about
        ]

    # TRL counts completions where the keys of a tuning count questions.
    arguments = common["arguments"] | {
        "per_device_train_batch_size": settings.micro_batch_size * asked.generations,
    }
    vllm = {"use_vllm": True, "vllm_mode": "colocate"} if device == "cuda" and importlib.util.find_spec("vllm") else {}
    columns = [row | {"prompt": name} for name, row in zip(known, rows, strict=True)]
    return Trainer(
        model=network,
        reward_funcs=rewards,
        args=trl.GRPOConfig(
            **arguments,
            **vllm,
            beta=settings.beta,
            num_generations=asked.generations,
            max_completion_length=asked.max_new_tokens,
            temperature=asked.temperature,
        ),
        train_dataset=datasets.Dataset.from_list(columns),
        **common["trainer"],
    )


def reward(question: dict, text: str, finished: bool, form: Form, form_reward: float) -> float:
    """1 for a chain whose declared answer is right, `form_reward` for another answer, 0 for none or a truncated chain.

    question: kind, options, answer. text: the assistant's turn; like an evaluation's, it ends with the line that
    declares the answer. finished: whether the model ended its turn.
    """
    whole = _first_chain(text, form)
    if whole is None and not finished:
        return 0.0
    said = whole or text
    if isinstance(form, ThinkingForm):
        said = form.divide(said)[1] or ""
    found = extract.declared(said, question["kind"], question["options"])
    if found.outcome != "answered":
        return 0.0
    answer = found.answer
    if question["kind"] == "expression":
        answer = expressions.known_spelling(answer, [question["answer"]])
    return 1.0 if answer == question["answer"] else form_reward


def fixed_settings(trainer) -> dict:
    """The trainer's settings of this method that no key of a tuning determines."""
    arguments = trainer.args
    return {
        "loss_type": arguments.loss_type,
        "scale_rewards": arguments.scale_rewards,
        "clipping_ratio": arguments.epsilon,
        "written_by": "vllm" if arguments.use_vllm else "transformers",
    }


def _first_chain(text: str, form: Form) -> str | None:
    """The text up to the line end after which an evaluation stops; None if it is not reached."""
    for end in (i for i, character in enumerate(text, 1) if character == "\n"):
        part = text[:end]
        if thinking.chain_ended(part, form) if isinstance(form, ThinkingForm) else steps.chain_ended(part):
            return part
    return None
