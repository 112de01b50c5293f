"""Samples: chains of thought that a model draws for its training questions, and whether each is right."""

import polars as pl

from faithtune.arms import chains
from faithtune.arms.cached_arm import CachedArm, end_of_chain
from faithtune.core.schemas.samples import SAMPLES
from faithtune.data.forms import STEPS, Form
from faithtune.settings.chains import ChainSettings, SamplingSettings


def draw(
    arm: CachedArm,
    questions: pl.DataFrame,
    templates: dict[str, str],
    settings: ChainSettings,
    how: SamplingSettings,
) -> pl.DataFrame:
    """`how.samples` chains (rows of SAMPLES) for each question (QUESTIONS), in its order.

    Prompt, end and extractor are those by which an arm's chains are written (`chains.write`).
    """
    form, rows = arm.model.form, questions.to_dicts()
    start, texts = chains.render(arm.model, rows, templates, settings)
    drawn = arm.sample(texts, how, settings.max_new_tokens, end_of_chain(form, start))
    found = [
        read(row, number, start + made.text, made.finished, made.n_tokens, form)
        for row, written in zip(rows, drawn, strict=True)
        for number, made in enumerate(written, 1)
    ]
    return pl.DataFrame(found, schema=SAMPLES)


def read(question: dict, number: int, text: str, finished: bool, n_tokens: int, form: Form = STEPS) -> dict:
    """A row of SAMPLES: the steps and the declared answer of a chain (`chains.read`), and whether it is right."""
    chain = chains.read(question, text, finished, n_tokens, form=form)
    right = chain["outcome"] == "answered" and chain["free_answer"] == question["answer"]
    return {name: chain.get(name) for name in SAMPLES} | {"sample": number, "right": right}
