"""The training questions of an arm: shares of examples and of tokens, nested samples, a target for each question."""

import itertools

import polars as pl
import pytest

import small
from faithtune.core.errors import UserError
from faithtune.data import questions
from faithtune.data.readers import arithmetic
from faithtune.models import loading
from faithtune.settings.data import TrainingData
from faithtune.tuning import hosted, mixing, tokens
from faithtune.tuning.methods import pairs, sft
from hosted_tunings import SETTINGS as HOSTED
from trainings import changed, of_method


def choices(n: int, data_set: str = "bare") -> pl.DataFrame:
    rows = [questions.choice(f"Which colour has box {i}?", ["red", "blue"], "AB"[i % 2]) for i in range(n)]
    return questions.frame(rows, data_set, "train")


@pytest.fixture(scope="module")
def parts() -> list[pl.DataFrame]:
    return [choices(90), questions.frame(arithmetic.generate(60, seed=5), "worked", "train")]


def data(**settings) -> TrainingData:
    return TrainingData(**{"targets": {"bare": "answer_only", "worked": "rationale"}} | settings)


def numbers(frame: pl.DataFrame) -> dict[str, int]:
    return dict(frame.group_by("data_set").len().sort("data_set").iter_rows())


def test_without_shares_all_questions_in_the_order_of_their_ids(parts):
    found = mixing.training_questions(parts, data())
    assert numbers(found) == {"bare": 90, "worked": 60} and found["id"].is_sorted()
    sample = mixing.training_questions(parts, data(n=20))
    assert sample["id"].to_list() == found["id"].head(20).to_list()


@pytest.mark.parametrize(("share", "n", "bare"), [(0.8, 50, 40), (0.7, 30, 21), (0.7, 100, 70), (1 / 3, 60, 20)])
def test_shares_of_examples(parts, share, n, bare):
    found = mixing.training_questions(parts, data(shares={"bare": share, "worked": 1 - share}, n=n))
    assert numbers(found) == {"bare": bare, "worked": n - bare} and found["id"].is_sorted()


def test_the_most_that_the_data_sets_allow(parts):
    for share, most in ((0.8, {"bare": 90, "worked": 22}), (0.5, {"bare": 60, "worked": 60})):
        found = numbers(mixing.training_questions(parts, data(shares={"bare": share, "worked": 1 - share})))
        assert all(abs(found[name] - most[name]) <= 1 for name in most), (share, found)


@pytest.mark.parametrize("equal", ["examples", "tokens"])
def test_a_larger_sample_contains_a_smaller_one(parts, equal):
    asked = {"shares": {"bare": 0.6, "worked": 0.4}, "equal": equal}
    count = {"bare": 20, "worked": 90}
    samples = [
        set(mixing.training_questions(parts, data(**asked, n=n), lambda row: count[row["data_set"]])["id"])
        for n in (1, 7, 20, 41, 60)
    ]
    assert all(one < other for one, other in itertools.pairwise(samples))
    assert [len(one) for one in samples] == [1, 7, 20, 41, 60]


def test_more_questions_leave_a_sample_mostly_as_it_was(parts):
    """As `n` of a split: another question takes the place of one."""
    asked = data(shares={"bare": 0.5, "worked": 0.5}, n=40)
    first = mixing.training_questions(parts, asked)
    more = mixing.training_questions([choices(91), parts[1]], asked)
    assert len(set(first["id"]) - set(more["id"])) <= 1


def test_shares_of_tokens_as_the_tokenizer_counts_them(parts, templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    count = tokens.example_counter({"path": "model"}, templates)
    asked = data(shares={"bare": 0.5, "worked": 0.5}, equal="tokens")
    found = mixing.training_questions(parts, asked, count)
    sums, tokenizer = dict.fromkeys(("bare", "worked"), 0), small.tokenizer()
    for question in found.to_dicts():
        example = tokens.tokenise_example(tokenizer, templates, question, question["target"])
        assert count(question) == len(example["input_ids"])
        sums[question["data_set"]] += count(question)
    assert sums["bare"] == pytest.approx(sums["worked"], rel=0.03)
    by_number = numbers(found)
    assert by_number["bare"] > 1.1 * by_number["worked"]  # bare answers are shorter, so there are more of them


def test_too_few_examples(parts):
    with pytest.raises(UserError, match=r"n is 151, but there are only 150 examples \(bare 90, worked 60\)"):
        mixing.training_questions(parts, data(n=151))
    with pytest.raises(UserError, match=r"n is 121, but there are only 120 examples at these shares \(bare 60, worked"):
        mixing.training_questions(parts, data(n=121, shares={"bare": 0.5, "worked": 0.5}))


def test_questions_without_a_rationale_are_left_out_before_shares_are_taken(parts, capsys):
    worked = parts[1].with_columns(
        rationale=pl.when(pl.int_range(pl.len()) % 2 == 0).then("rationale")  # half of them
    )
    found = mixing.training_questions([parts[0], worked], data(shares={"bare": 0.5, "worked": 0.5}, n=40))
    assert numbers(found) == {"bare": 20, "worked": 20}
    assert found.filter(data_set="worked")["rationale"].null_count() == 0
    assert "30 of 60 questions have no rationale and are left out" in capsys.readouterr().out


def test_a_question_of_two_data_sets_counts_for_the_first(parts):
    both = TrainingData(
        targets={"bare": "answer_only", "again": "answer_only"}, shares={"bare": 0.5, "again": 0.5}, n=20
    )
    again = choices(130, "again")  # the first 90 are those of `bare`
    assert numbers(mixing.training_questions([parts[0], again], both)) == {"again": 10, "bare": 10}


def test_what_a_card_says(parts):
    asked = data(shares={"bare": 2 / 3, "worked": 1 / 3}, n=30)
    card = mixing.describe(mixing.training_questions(parts, asked), asked)
    assert card == {
        "data": {
            "examples_of": {"bare": 20, "worked": 10},
            "shares": {"bare": 0.6667, "worked": 0.3333},
            "equal": "examples",
        }
    }
    assert mixing.describe(mixing.training_questions(parts, data()), data()) == {
        "data": {"examples_of": {"bare": 90, "worked": 60}}
    }
    alone = TrainingData(targets={"bare": "answer_only"})
    assert mixing.describe(mixing.training_questions(parts[:1], alone), alone) == {}


@pytest.fixture
def mixed(parts) -> pl.DataFrame:
    return mixing.training_questions(parts, data(shares={"bare": 0.5, "worked": 0.5}, n=12))


def learnt(rows: list[dict], mask: str = "completion_mask") -> list[str]:
    return [
        small.tokenizer().decode([token for token, m in zip(row["input_ids"], row[mask], strict=True) if m])
        for row in rows
    ]


def test_each_question_teaches_what_its_data_set_teaches(mixed, templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    texts = learnt(sft.prepare({"path": "model"}, mixed, templates, changed(target="mixed")))
    assert [text.startswith("Step 1:") for text in texts] == [name == "worked" for name in mixed["data_set"]]
    assert sum(text.startswith("Final Answer:") for text in texts) == 6


def test_pairs_and_hosts_take_each_questions_target(mixed, templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    rows = pairs.prepare({"path": "model"}, mixed, templates, of_method("dpo", target="mixed"))
    steps = ["Step 1:" in small.tokenizer().decode(row["prompt_ids"] + row["chosen_ids"]) for row in rows]
    assert sum(steps) >= 6 and len(rows) == 12
    settings = HOSTED.model_copy(update={"target": "mixed", "validation_share": 0, "method": "sft"})
    training, _ = hosted.training_files(mixed, templates, settings)
    assert training.count(b'"content": "Step 1:') == training.count(b'"content": "Final Answer:') == 6


def test_a_training_without_a_column_of_targets_teaches_its_own(parts, templates, monkeypatch):
    monkeypatch.setattr(loading, "load_tokenizer", lambda path: small.tokenizer())
    texts = learnt(sft.prepare({"path": "model"}, parts[1].head(3), templates, changed(target="answer_only")))
    assert all(text.startswith("Final Answer:") for text in texts)
