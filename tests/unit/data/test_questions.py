"""Questions: canonical numbers, ids, the table, sampling and splitting."""

import json
import runpy
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faithtune.core import parquet
from faithtune.core.errors import UserError
from faithtune.core.schemas.questions import QUESTIONS

pass
from faithtune.data import questions, splits  # noqa: E402
from faithtune.data.questions import canonical_number, choice, expression, number, question_id  # noqa: E402
from faithtune.settings.configuration import Configuration  # noqa: E402
from faithtune.study import plan  # noqa: E402

SCRIPT = Path(__file__).parents[3] / "workflow/scripts/questions.py"


def table(n: int, contexts: int | None = None) -> pl.DataFrame:
    """`n` questions, about `contexts` passages if given."""
    rows = [number(f"{i} + 1?", str(i + 1), context=contexts and f"passage {i % contexts}") for i in range(n)]
    return questions.frame(rows, "numbers", "eval")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1,234.50", "1234.5"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("+5", "5"),
        (" 007 ", "7"),
        (".50", "0.5"),
        ("-12.5", "-12.5"),
        ("1000", "1000"),
        ("109,200,000", "109200000"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
    ],
)
def test_canonical_number(text, canonical):
    assert canonical_number(text) == canonical


@pytest.mark.parametrize(
    "text", ["", "$3", "5%", "1e3", "1,2", "12,34", "1.", "1/2", "3:30", "--1", "- 1", "1 2", "nan", "٣"]
)
def test_not_a_plain_number(text):
    assert canonical_number(text) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.integers(0, 3), st.booleans())
def test_canonical_number_is_exact_and_stable(value, zeros, commas):
    written = f"{value:,f}" if commas else f"{value:f}"
    canonical = canonical_number(written + "0" * zeros)
    assert Decimal(canonical) == value
    assert canonical_number(canonical) == canonical


@given(st.text())
def test_canonical_numbers_of_equal_value_are_equal(text):
    canonical = canonical_number(text)
    if canonical is not None:
        assert Decimal(canonical) == Decimal(text.strip().replace(",", ""))


content = st.tuples(
    st.one_of(st.none(), st.text("ab ,", max_size=3)), st.text("ab ,", max_size=3), st.lists(st.text("ab", max_size=2))
)


@given(content, content)
def test_ids_are_the_content(one, two):
    def stripped(item):
        context, question, options = item
        return " ".join((context or "").split()), " ".join(question.split()), options

    assert (question_id(*one) == question_id(*two)) == (stripped(one) == stripped(two))


def test_an_id_never_changes():
    # It is the key of stored results: another value would orphan all of them.
    assert question_id(None, "1 + 1?", ["1", "2"]) == "d50c547a5fcad0c7"
    assert question_id("", " 1 +\n1?", ["1 ", "2"]) == question_id(None, "1 + 1?", ["1", "2"])
    assert question_id("a  passage\n", "1?", []) == question_id("a passage", "1?", [])


def test_frame():
    rows = [
        choice(" Which? ", ["x ", "y"], "B", context=" A passage. ", rationale="\n"),
        choice("Why?", ["x", "y"], "A", context="A  passage."),
        number("How many?", "1,200.0", context=" ", rationale=" 1,000 + 200 = 1,200.\n"),
    ]
    frame = questions.frame(rows, "mixed", "train")
    assert frame.schema == QUESTIONS
    first, second, third = frame.to_dicts()
    assert first == {
        "id": question_id("A passage.", "Which?", ["x", "y"]),
        "source_id": "0",
        "data_set": "mixed",
        "split": "train",
        "kind": "choice",
        "context": "A passage.",
        "question": "Which?",
        "options": ["x", "y"],
        "answer": "B",
        "rationale": None,
        "group": first["group"],
    }
    assert first["group"] == second["group"] != third["group"]
    assert (third["answer"], third["context"], third["options"]) == ("1200", None, [])
    assert third["rationale"] == "1,000 + 200 = 1,200."
    assert third["group"] == third["id"]


def test_a_question_keeps_the_id_of_its_file():
    rows = [number("a?", "1"), None, number("b?", "2"), number("c?", "3")]
    frame = questions.frame(rows, "s", "eval", [{"id": 7}, {"id": "x"}, {"text": ""}, {"id": "00-a"}])
    assert frame["source_id"].to_list() == ["7", "2", "00-a"]
    with pytest.raises(UserError, match="no question found"):
        questions.frame([None], "s", "eval")


def test_of_repeated_questions_the_first_is_kept():
    rows = [number("1 + 1?", "2"), number("2 + 2?", "4"), number(" 1 + 1?", "3")]
    assert questions.frame(rows, "numbers", "eval")["answer"].to_list() == ["2", "4"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (choice("Q", ["x", "y"], "C"), "'C' is no letter from A to B"),
        (choice("Q", ["x", "y"], "AB"), "'AB' is no letter"),
        (choice("Q", ["x", "y"], ""), "'' is no letter"),
        (choice("Q", ["x"], "A"), "1 options; expected 2 to 10"),
        (choice("Q", ["x"] * 11, "A"), "11 options; expected 2 to 10"),
        (choice(" ", ["x", "y"], "A"), "empty"),
        (number("Q", "nine"), "'nine' is not a plain number"),
        ({**number("Q", "9"), "options": ["x", "y"]}, "expected none"),
        ({**number("Q", "9"), "kind": "text"}, "expected choice, number or expression"),
        (expression("Q", r"\frac{"), r"'\\frac{' is not an expression that math-verify can read"),
    ],
)
def test_frame_errors(row, message):
    with pytest.raises(UserError) as error:
        questions.frame([number("1 + 1?", "2"), row], "numbers", "eval")
    assert message in str(error.value)
    assert str(error.value).startswith("numbers: question 2: ")


def test_no_question_at_all():
    with pytest.raises(UserError, match="at least one"):
        questions.frame([], "numbers", "eval")


@given(st.integers(0, 60), st.integers(0, 60))
def test_samples_are_nested(n, m):
    small, large = sorted((n, m))
    frame = table(60)
    assert splits.select(frame, small).equals(splits.select(frame, large).head(small))


def test_a_sample_does_not_depend_on_the_order_of_the_file():
    frame = table(60)
    assert splits.select(frame.reverse(), 20).equals(splits.select(frame, 20))
    assert splits.select(frame, 20)["question"].to_list() != frame["question"].head(20).to_list()
    assert splits.select(frame, None).height == 60


def test_more_questions_than_there_are():
    with pytest.raises(UserError, match="numbers: n is 61, but there are only 60"):
        splits.select(table(60), 61)


@given(st.floats(0.01, 0.99), st.integers(1, 40))
def test_partition(share, contexts):
    frame = table(80, contexts)
    train, evaluation = splits.partition(frame, share)
    assert set(train["id"]) | set(evaluation["id"]) == set(frame["id"])
    assert not set(train["group"]) & set(evaluation["group"])
    assert set(train["split"]) <= {"train"}
    assert set(evaluation["split"]) <= {"eval"}
    assert train.schema == evaluation.schema == QUESTIONS


def test_partition_keeps_sides_and_share():
    frame = table(2000)
    train, evaluation = splits.partition(frame, 0.75)
    assert 1400 < train.height < 1600
    fewer, _ = splits.partition(frame.head(1000), 0.75)
    assert set(fewer["id"]) <= set(train["id"])
    # The cut is not by id: both parts have small and large ids.
    middle = frame["id"].sort()[1000]
    assert 0.4 < (evaluation["id"] < middle).mean() < 0.6


@pytest.mark.parametrize("share", [0, 1, -0.5, 75, float("nan")])
def test_partition_share(share):
    with pytest.raises(UserError, match="between 0 and 1"):
        splits.partition(table(3), share)


def test_without_overlap():
    train = questions.frame(
        [number("same?", "1"), number("same passage?", "2", context="p"), number("other?", "3", context="q")],
        "t",
        "train",
    )
    evaluation = questions.frame([number("same?", "1"), number("new?", "2", context="p")], "e", "eval")
    left = splits.without_overlap(train, evaluation)
    assert left["question"].to_list() == ["other?"]
    assert left.schema == QUESTIONS


PASSAGES = [
    {"passage": f"There are {i} boxes.", "question": f"How many, {j}?", "answer": "3"} for i in range(40) for j in "ab"
]


@pytest.mark.parametrize("one_source", [True, False])
def test_the_rule_keeps_training_and_evaluation_apart(tmp_path, monkeypatch, one_source):
    """By passage, for one file and for two files that share passages, and for any n."""
    monkeypatch.chdir(tmp_path)
    files = {"train": PASSAGES, "eval": PASSAGES if one_source else PASSAGES[60:]}
    for split, rows in files.items():
        text = "".join(json.dumps(row) + "\n" for row in rows)
        Path("both.jsonl" if one_source else f"{split}.jsonl").write_text(text)
    data_set = {"reader": "asdiv", "train_share": 0.5, "seed": 0}
    for split, n in (("train", None), ("eval", 5)):
        data_set[split] = {"source": "both.jsonl" if one_source else f"{split}.jsonl", "n": n}

    def made(split: str, **changed) -> pl.DataFrame:
        """The questions that the rule's script writes."""
        boxes = data_set | {split: data_set[split] | changed}
        full = Configuration(models={"m": {"source": "x"}}, data_sets={"boxes": boxes}, eval_sets=["boxes"])
        spec = {"questions": plan.selection(full, "boxes", split).model_dump()}
        out = tmp_path / f"{split}.parquet"
        inputs = {part: data_set[part]["source"] for part in ("train", "eval")}
        job = SimpleNamespace(log=["log"], params=SimpleNamespace(spec=spec), input=inputs, output=[str(out)])
        runpy.run_path(str(SCRIPT), {"snakemake": job})
        return parquet.read(out, QUESTIONS)

    train, evaluation, few = made("train"), made("eval", n=None), made("eval")
    assert set(train["split"]) == {"train"} and set(evaluation["split"]) == {"eval"}
    assert not set(train["group"]) & set(evaluation["group"])
    assert train.height + evaluation.height == len(PASSAGES) and min(train.height, evaluation.height) >= 10
    assert few.height == 5 and set(few["id"]) < set(evaluation["id"])


def test_question_block():
    row = questions.frame(
        [choice("Why?", ["to eat", "to\nsleep"], "A", context="Ann\nrests.")], "s", "eval"
    ).to_dicts()[0]
    assert questions.question_block(row) == "Ann\nrests.\n\nWhy?\n\nA. to eat\nB. to sleep"
    row = questions.frame([number("1 + 1?", "2")], "s", "eval").to_dicts()[0]
    assert questions.question_block(row) == "1 + 1?"
