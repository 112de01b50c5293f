"""What the benchmarks ask: real questions, real chains, three tests, all k.

From the folder in FAITHTUNE_DATA: GSM8K test questions with the solutions that
OpenAI published of a 6B model, and MedQA test questions with GPT-4's chains.
Without it: generated arithmetic with its worked steps.
"""

import json
import os
import re
from pathlib import Path

import polars as pl

from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import PARAPHRASES
from faithtune.data import prompts, questions, sources
from faithtune.data.readers import arithmetic, gsm8k, medqa
from faithtune.extraction import steps
from faithtune.interventions import build
from faithtune.settings.interventions import InterventionSettings, SweepSettings

FOLDER = os.environ.get("FAITHTUNE_DATA")
SETS = ("gsm8k", "medqa") if FOLDER else ("arithmetic",)
PAPERS_TESTS = ("early_termination", "filler", "paraphrase")
TEMPLATES = Path(__file__).parents[2] / "resources/prompts/zero_shot"


def records(path: str) -> list[dict]:
    return sources.records(Path(FOLDER) / path)


def _gsm8k(n: int) -> list[tuple[dict, str]]:
    rows = records("real_cots/gsm8k.model_solutions.6b.jsonl")[:n]
    asked = gsm8k.questions([{"question": row["question"], "answer": "0\n#### 0"} for row in rows])
    solutions = [re.sub(r"<<.*?>>", "", row["6b_finetuning"]["solution"]) for row in rows]
    return [(one, text.replace("\nA: ", f"\n{prompts.CUE} ")) for one, text in zip(asked, solutions, strict=True)]


def _medqa(n: int) -> list[tuple[dict, str]]:
    asked = medqa.questions(records("medqa/phrases_no_exclude_test.jsonl"))[:n]
    written = [json.loads(row["completions"][0]) for row in records("real_cots/medqa.cot.gpt-4-32k.jsonl")[:n]]
    texts = [f"{one['step_by_step_thinking']}\n{prompts.CUE} {one['answer_choice']}" for one in written]
    return list(zip(asked, texts, strict=True))


def _arithmetic(n: int) -> list[tuple[dict, str]]:
    asked = arithmetic.generate(n, seed=0)
    return [(one, f"{one['rationale']}\n{prompts.CUE} {one['answer']}") for one in asked]


def frames(name: str, n: int, count_tokens) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Questions, chains and interventions of n questions.

    A paraphrase is the step behind two words: of its length and its meaning.
    """
    pairs = {"gsm8k": _gsm8k, "medqa": _medqa, "arithmetic": _arithmetic}[name](n)
    asked = questions.frame([question for question, _ in pairs], name, "eval")
    chains, wording = [], []
    for identifier, (_, text) in zip(asked["id"], pairs, strict=True):
        parts = steps.split(text)
        chains.append(
            {"id": identifier, "text": text, "steps": parts, "n_steps": len(parts), "n_copied": 0}
            | {"n_tokens": count_tokens(text), "outcome": "answered", "free_answer": None}
        )
        for i, step in enumerate(parts, 1):
            other = f"Put differently, {step[0].lower()}{step[1:]}"
            wording.append({"id": identifier, "step": i, "text": other, "attempts": 1, "reason": None})
    chains = pl.DataFrame(chains, schema=CHAINS)
    wording = pl.DataFrame(wording, schema=PARAPHRASES)
    settings = InterventionSettings(tests=[*PAPERS_TESTS], filler=" ...", sweep=SweepSettings())
    return asked, chains, build.build(chains, settings, count_tokens, wording)
