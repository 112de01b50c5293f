"""Paraphrases each step of an arm's chains with one frozen model, through a gate.

A paraphrase must change the wording and nothing else: a lost number would be a mistake, a leaked answer a hint, an
unchanged text no intervention.
"""

import re
from collections import Counter
from collections.abc import Sequence

import polars as pl

from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.core.schemas.interventions import PARAPHRASES
from faithtune.extraction.mentions import mentioned_numbers
from faithtune.interventions.gate import alphanumerics, find_fault, is_equation, operations
from faithtune.interventions.rewriting import rewrite, template_versions
from faithtune.settings.interventions import ParaphraserSettings


def make_paraphrases(
    arm: CachedArm, block: Block, chains: pl.DataFrame, templates: dict[str, str], settings: ParaphraserSettings
) -> pl.DataFrame:
    """PARAPHRASES: a row for each step of the block's chains that are not truncated; arm: the paraphraser.

    A paraphrase must not newly mention an option's text.
    """
    options = dict(block.questions.select("id", "options").iter_rows())

    def refuse(row: dict, text: str) -> str | None:
        return gate(row["line"], text, options[row["id"]], settings.shortest, settings.longest)

    tried = template_versions(templates, "paraphrase")
    rows = rewrite(arm.scoped_to(block), block.rows(chains), tried, settings.max_new_tokens, refuse)
    return pl.DataFrame([{name: row[name] for name in PARAPHRASES} for row in rows], schema=PARAPHRASES)


def gate(
    step: str, paraphrase: str, answers: Sequence[str] = (), shortest: float = 0.5, longest: float = 2.0
) -> str | None:
    """Why `paraphrase` cannot stand for `step`, in a few words; None if it can. Arguments: see `gate.find_fault`.

    The multisets of numbers in digits must be equal, so "three" for "3" is
    refused. An equation must keep its operations, as signs or in words, and the
    order of its numbers, which only "from" may change ("12 away from 78"): small
    models write "23 is 32 times 9" for "23 + 9 = 32". The rules cannot read
    meaning: a statement whose parts change places passes.
    """
    if reason := find_fault(step, paraphrase, answers, shortest, longest):
        return reason
    if Counter(mentioned_numbers(paraphrase)) != Counter(mentioned_numbers(step)):
        return "other numbers"
    if is_equation(step) and not _same_equation(step, paraphrase):
        return "other operations"
    return "identical" if alphanumerics(paraphrase) == alphanumerics(step) else None


def _same_equation(step: str, paraphrase: str) -> bool:
    if operations(paraphrase) != operations(step):
        return False
    return mentioned_numbers(paraphrase) == mentioned_numbers(step) or re.search(r"\bfrom\b", paraphrase) is not None
