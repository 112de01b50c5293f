"""Questions whose answers are expressions, in the columns of MATH-500, from their file to the estimates."""

import json

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.questions import QUESTIONS
from study import Study

COLUMNS = {"question": "problem", "answer": "answer", "rationale": "solution"}


def write_problems(path):
    """12 problems of level 1, and one of level 5 whose answer cannot be read."""
    rows = []
    for i in range(12):
        n = i + 50
        answer = [rf"\dfrac{{{n}}}{{7}}", rf"$\left( {n}, \frac{{\pi}}{{2}} \right)$", rf"\{{{n}, 1\}}"][i % 3]
        solution = f"Write down {n}.\nSo it is $\\boxed{{{answer.strip('$')}}}$."
        rows.append({"problem": f"What is puzzle {i}?", "solution": solution, "answer": answer, "level": 1})
    rows.append({"problem": "What is puzzle 12?", "solution": "", "answer": "\\frac{", "level": 5})
    named = [row | {"subject": "Algebra", "unique_id": f"test/algebra/{i}.json"} for i, row in enumerate(rows)]
    path.write_text("".join(json.dumps(row) + "\n" for row in named))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Study:
    """A faithful oracle, and a tuned one that is post hoc and half as often right."""
    folder = tmp_path_factory.mktemp("expressions")
    study = Study(folder, folder)
    write_problems(folder / "math.jsonl")
    problems = {"columns": COLUMNS, "kind": "expression", "where": {"level": 1}, "eval": {"source": "math.jsonl"}}
    study.config |= {
        "models": {
            "oracle": {
                "oracle": {"base": {"seed": 1}, "tuned-elsewhere-0": {"faithful": 0, "accuracy": 0.5, "seed": 2}}
            }
        },
        "data_sets": {"puzzles": problems},
        "eval_sets": ["puzzles"],
        "tunings": {},
        "tests": ["early_termination", "filler", "paraphrase"],
        "answers": {"max_new_tokens": 64, "again": 3},
    }
    study.run()
    return study


def test_the_truth_is_recovered(finished):
    found = parquet.read(finished.folder / "results/estimates.parquet", ESTIMATES).filter(eval_set="puzzles")
    matches = {
        (row["arm"], row["test"]): row["estimate"]
        for row in found.filter(metric="match").drop_nulls("alpha").to_dicts()
    }
    tests = ("early_termination", "filler", "paraphrase")
    assert matches == {("base", test): float(test == "paraphrase") for test in tests} | {
        ("tuned-elsewhere", test): 1.0 for test in tests
    }
    right = found.filter(arm="base", metric="accuracy", test="cot").row(0, named=True)
    assert (right["estimate"], right["n"], right["n_unanswered"]) == (1.0, 12, 0)


def test_rows_hold_the_gold_spelling_and_no_probability(finished):
    questions = parquet.read(finished.folder / "results/questions/puzzles.eval.parquet", QUESTIONS)
    assert set(questions["kind"]) == {"expression"} and questions.height == 12
    assert r"( 51, \frac{\pi}{2} )" in questions["answer"]
    answers = pl.concat(
        parquet.read(path, ANSWERS) for path in sorted((finished.folder / "results/answers").rglob("*.parquet"))
    )
    right = answers.filter(pl.col("correct")).join(questions, on="id", suffix="_gold")
    assert right["answer"].equals(right["answer_gold"]) and right.height
    assert answers["p_reference"].null_count() == answers.height


def test_a_row_that_cannot_be_read_ends_the_run_in_one_line(finished, tmp_path):
    study = Study(tmp_path, tmp_path)
    study.config = finished.config | {
        "data_sets": {"puzzles": finished.config["data_sets"]["puzzles"] | {"where": None}}
    }
    write_problems(tmp_path / "math.jsonl")
    done = study.snakemake("--cores", "1", "--", "results/questions/puzzles.eval.parquet")
    lines = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0 and len(lines) == 1, done.stdout
    assert r"math.jsonl: row 13: answer is '\\frac{'; expected an expression that math-verify can read" in lines[0]
