"""From questions to answers on the tiny model: chains, paraphrases, interventions, answers."""

import re

import polars as pl
import pytest
import tiny

from faithtune import (
    answering,
    chains,
    extraction,
    interventions,
    local,
    paraphrasing,
    plain,
    prompts,
    questions,
    shuffling,
    steps,
)
from faithtune.backend import Ask, Generated, Told
from faithtune.data import arithmetic
from faithtune.questions import LETTERS
from faithtune.store import RowStore
from faithtune.tree import Tree


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny.model(tiny_model, batch_size=4)


@pytest.fixture(scope="module")
def asked() -> pl.DataFrame:
    """Four sums and three choices."""
    sums = arithmetic.generate(4, seed=11)
    options = ["red", "green", "blue"]
    choices = [questions.choice(f"Which colour is box {i}?", options, "ABC"[i]) for i in range(3)]
    return questions.frame(sums + choices, "mixed", "eval")


@pytest.fixture(scope="module")
def keep(tmp_path_factory):
    return RowStore(tmp_path_factory.mktemp("rows")), "tiny"


@pytest.fixture(scope="module")
def written(model, keep, asked, templates):
    return chains.write(model, keep, asked, templates, 96, forced_start=True)


@pytest.fixture(scope="module")
def tampered(model, written):
    return interventions.build(written, None, ["early_termination", "filler"], " ...", model.count_tokens)


@pytest.fixture(scope="module")
def answers(model, keep, asked, written, tampered, templates):
    return answering.answer(model, keep, asked, written, tampered, templates, 8, 0.05, again=7, shuffle=False)


def test_chains_are_split_and_their_outcome_told(written, asked):
    assert written["id"].to_list() == asked["id"].to_list()
    for chain in written.to_dicts():
        assert chain["text"].startswith(prompts.CHAIN_START)
        assert chain["steps"] == steps.split(chain["text"])
        assert chain["n_steps"] == len(chain["steps"])
        assert chain["n_tokens"] <= 96
    assert (written["outcome"] == "answered").sum() >= 4


def test_a_chain_cut_at_the_limit_is_truncated_and_declares_nothing(model, tmp_path, asked, templates):
    cut = chains.write(model, (RowStore(tmp_path), "tiny"), asked, templates, 4, forced_start=True)
    assert set(cut["outcome"]) == {"truncated"}
    assert cut["free_answer"].is_null().all()


def test_without_a_forced_start_the_turn_is_the_arms_own(model, tmp_path, asked, templates):
    free = chains.write(model, (RowStore(tmp_path), "tiny"), asked.head(1), templates, 96, forced_start=False)
    text = model.render(prompts.user_turn(templates, "cot", asked.to_dicts()[0]))
    [(_, alone)] = plain.generate(model, [text], 96, steps.free_text_end)
    assert free["text"].to_list() == [alone.text]


def test_numbers_are_what_greedy_decoding_writes(model, answers, tampered, asked, templates):
    """The tree and the store change no answer, and a number cut at the limit is none."""
    sums = {row["id"]: row for row in asked.filter(kind="number").to_dicts()}
    rows = [row for row in tampered.to_dicts() if row["id"] in sums]
    texts = [
        model.render(
            prompts.user_turn(templates, "no_cot" if row["test"] == "no_cot" else "cot", sums[row["id"]]),
            prompts.assistant_turn(row["text"]),
        )
        for row in rows
    ]
    alone = dict(plain.generate(model, texts, 8, steps.line_ended))
    got = {(row["id"], row["test"], row["k"]): row for row in answers.to_dicts()}
    assert len(rows) > 12
    for i, row in enumerate(rows):
        answer = got[row["id"], row["test"], row["k"]]
        expected = extraction.forced(alone[i].text, "number") if alone[i].finished else None
        assert answer["answer"] == (expected and expected.answer)
        assert answer["outcome"] == (expected.outcome if expected else "truncated")


def test_a_number_cut_at_the_limit_is_truncated(model, keep, asked, written, tampered, templates):
    """It might have gone on to another number: it is neither unanswered nor read, leniently either."""
    sums = tampered.join(asked.filter(kind="number"), on="id", how="semi")
    cut = answering.answer(model, keep, asked, written, sums, templates, 1, 0.05, again=0, shuffle=False)
    assert set(cut["outcome"]) == {"truncated"}
    assert cut.select("answer", "lenient", "correct", "match", "reference").null_count().row(0) == (cut.height,) * 5
    assert cut["text"].null_count() == 0


def test_answers_are_compared_with_gold_and_with_the_own_answer(answers, asked):
    gold = dict(asked.select("id", "answer").iter_rows())
    own = {row["id"]: row["answer"] for row in answers.filter(test="full").to_dicts()}
    for row in answers.filter(outcome="answered").to_dicts():
        assert row["correct"] == (row["answer"] == gold[row["id"]])
        assert row["reference"] == own[row["id"]]
        assert row["match"] == (row["answer"] == own[row["id"]] if own[row["id"]] else None)
    assert answers.filter(pl.col("outcome") != "answered", pl.col("match").is_not_null()).is_empty()


def test_probability_of_the_reference(answers):
    known = answers.filter(pl.col("reference").is_not_null(), pl.col("test") != "no_cot")
    assert known.height > 10
    assert known["p_reference"].is_between(0, 1).all()
    for row in known.filter(pl.col("probabilities").list.len() > 0).to_dicts():
        assert row["p_reference"] == row["probabilities"]["ABC".index(row["reference"])]


def test_some_full_chains_are_asked_again(answers, asked):
    full = {row["id"]: row for row in answers.filter(test="full").to_dicts()}
    again = answers.filter(test="again").to_dicts()
    assert [row["id"] for row in again] == [id for id in asked["id"] if full[id]["answer"]][:7]
    assert {bool(row["probabilities"]) for row in again} == {False, True}
    for row in again:  # in float32 nothing differs
        assert (row["answer"], row["match"]) == (full[row["id"]]["answer"], True)
        assert row["probabilities"] == pytest.approx(full[row["id"]]["probabilities"], abs=1e-4)
        assert (row["p_reference"] is None) == (not row["probabilities"])


def test_letters_are_those_of_plain_prompts(model, answers, tampered, asked, templates):
    choices = {row["id"]: row for row in asked.filter(kind="choice").to_dicts()}
    rows = [row | {"question": choices[row["id"]]} for row in tampered.to_dicts() if row["id"] in choices]
    asks = [Ask(answering.prompt(model, templates, row), 3) for row in rows]
    got = {(row["id"], row["test"], row["k"]): row for row in answers.to_dicts()}
    alone = dict(plain.answer(model, asks, 8, bool))
    assert len(alone) == len(rows) > 12
    for i, row in enumerate(rows):
        answer = got[row["id"], row["test"], row["k"]]
        assert answer["probabilities"] == pytest.approx(alone[i].probabilities, abs=1e-4)


def test_what_is_asked_otherwise_is_computed_anew(model, tmp_path, asked, written, tampered, templates):
    """Each setting that decides a row is in its key: the same again computes nothing, another one does."""
    rows = tampered.join(asked.filter(kind="number").head(1), on="id", how="semi")

    def computed(limit: int) -> int:
        with RowStore(tmp_path) as kept:
            answering.answer(
                model, (kept, "tiny"), asked, written, rows, templates, limit, 0.05, again=1, shuffle=False
            )
        return kept.computed

    assert computed(8) > computed(8) == 0
    assert computed(7) > 0
    for limit, forced_start, expected in ((20, True, 1), (20, True, 0), (19, True, 1), (20, False, 1)):
        with RowStore(tmp_path) as kept:
            chains.write(model, (kept, "tiny"), asked.head(1), templates, limit, forced_start)
        assert kept.computed == expected


def test_each_distinct_token_is_computed_once(tiny_model, tmp_path, asked, written, tampered, templates):
    fresh = tiny.model(tiny_model)
    answering.answer(
        fresh, (RowStore(tmp_path), "tiny"), asked, written, tampered, templates, 8, 0.05, again=0, shuffle=False
    )
    kinds, distinct = {row["id"]: row for row in asked.to_dicts()}, Tree()
    for row in tampered.to_dicts():
        text = answering.prompt(fresh, templates, row | {"question": kinds[row["id"]]})
        distinct.insert(fresh.token_ids(text))
    assert len(distinct) <= fresh.forest.computed <= 1.15 * len(distinct)  # answers and references are short


def test_unlikely_letters_are_no_answer(model, keep, asked, written, tampered, templates):
    strict = answering.answer(model, keep, asked, written, tampered, templates, 8, 1.0, again=0, shuffle=False)
    choices = strict.filter(pl.col("probabilities").list.len() > 0)
    assert set(choices["outcome"]) == {"unanswered"}
    assert choices["answer"].is_null().all()


def test_a_truncated_chain_has_no_answer_of_its_own(model, keep, asked, written, templates):
    cut = written.with_columns(outcome=pl.lit("truncated"))
    made = interventions.build(cut, None, ["early_termination"], " ...", model.count_tokens)
    answers = answering.answer(model, keep, asked, cut, made, templates, 8, 0.0, again=9, shuffle=False)
    assert set(answers.filter(test="full")["outcome"]) == {"truncated"}
    assert answers["reference"].is_null().all()
    assert "answered" in set(answers.filter(test="no_cot")["outcome"])


@pytest.mark.parametrize("why", ["unavailable", "truncated"])
def test_without_a_text_the_outcome_says_why(model, keep, asked, written, tampered, templates, why):
    filled = pl.col("test") == "filler"
    missing = tampered.with_columns(
        text=pl.when(~filled).then("text"), missing=pl.when(filled).then(pl.lit(why)).otherwise("missing")
    )
    answers = answering.answer(model, keep, asked, written, missing, templates, 8, 0.05, again=7, shuffle=False)
    filler = answers.filter(test="filler")
    assert filler.height > 0
    assert set(filler["outcome"]) == {why}
    assert filler["match"].is_null().all()


def test_a_second_time_the_network_is_not_even_loaded(model, keep, asked, written, tampered, answers, templates):
    def fail():
        raise AssertionError("loaded again")

    keep[0].flush()
    again = RowStore(keep[0].folder), keep[1]
    unloaded = local.LocalModel(model.tokenizer, lambda: fail())
    assert answering.answer(
        unloaded, again, asked, written, tampered, templates, 8, 0.05, again=7, shuffle=False
    ).equals(answers)


class Parrot:
    """A paraphraser of known answers: what it writes after each prompt is given."""

    def __init__(self, tokenizer, wording):
        self.engine, self.tokenizer, self.wording, self.asked = "parrot", tokenizer, wording, []

    def render(self, user, assistant=""):
        return prompts.render(self.tokenizer, user, assistant)

    def prompt_key(self, text):
        return prompts.token_ids(self.tokenizer, text)

    def generate(self, texts, max_new_tokens, ended, keys):
        self.asked += texts
        for i, text in enumerate(texts):
            step = next(step for step in self.wording if f": {step}" in text)
            yield i, Generated(self.wording[step].pop(0), 5, finished=True)


def chain_of(name: str, parts: list[str]) -> tuple[dict, pl.DataFrame]:
    """A chain of these steps, and the frame of it alone."""
    counts = {"n_steps": len(parts), "n_copied": 0, "n_tokens": 1}
    chain = {"id": name, "text": "", "steps": parts, **counts, "outcome": "answered", "free_answer": "3"}
    return chain, pl.DataFrame([chain], schema=chains.CHAINS)


def test_paraphrases_are_tried_until_one_passes(model, tmp_path, asked):
    chain = {
        "id": asked["id"][0],
        "text": "",
        "steps": ["1 + 2 = 3.", "All is well."],
        "n_steps": 2,
        "n_copied": 0,
        "n_tokens": 1,
    }
    frame = pl.DataFrame([chain | {"outcome": "answered", "free_answer": "3"}], schema=chains.CHAINS)
    wording = {"1 + 2 = 3.": [" 1 plus 2 equals 3."], "All is well.": [" all is well", " Everything is fine."]}
    parrot = Parrot(model.tokenizer, wording)
    templates = {f"paraphrase_{i}": f"Try {i}.\nLine: {{step}}\nSo:" for i in (1, 2)}
    made = paraphrasing.paraphrases(parrot, (RowStore(tmp_path), "p"), asked, frame, templates, 9, 0.5, 2.0)
    assert made.rows() == [
        (chain["id"], 1, "1 plus 2 equals 3.", 1, None),
        (chain["id"], 2, "Everything is fine.", 2, None),
    ]
    assert parrot.asked[0].endswith("<|assistant|>\nSo:")


def test_a_step_no_attempt_could_paraphrase_says_why(model, tmp_path, asked):
    chain, frame = chain_of(asked["id"][0], ["All is well."])
    parrot = Parrot(model.tokenizer, {"All is well.": [" All is well."]})
    made = paraphrasing.paraphrases(
        parrot, (RowStore(tmp_path), "p"), asked, frame, {"paraphrase_1": "Line: {step}\nSo:"}, 9, 0.5, 2.0
    )
    assert made.rows() == [(chain["id"], 1, None, 1, "identical")]


def test_steps_copied_from_the_prompts_example_are_counted(asked, templates):
    question = asked.to_dicts()[0]
    text = "Step 1: 4 * 6 = 24.\nStep 2: 24 - 5 = 20.\nFinal Answer: 20"
    chain = chains.read(question, text, True, 9, example="Step 1: 4 * 6 = 24.\nStep 2: 24 - 5 = 19.\n{question}")
    assert (chain["n_steps"], chain["n_copied"]) == (2, 1)


def test_options_in_another_order_are_asked_without_a_chain(model, keep, asked, written, tampered, templates, answers):
    """Each choice once more; letters and probabilities are those of the question's own order."""
    choices = asked.filter(pl.col("kind") == "choice")
    again = answering.answer(model, keep, asked, written, tampered, templates, 8, 0.0, again=0, shuffle=True)
    shuffled = again.filter(test="no_cot_shuffled")
    assert shuffled["id"].to_list() == choices["id"].to_list()
    others = again.filter(pl.col("test") != "no_cot_shuffled")
    assert others.drop("outcome", "answer", "correct", "match").equals(
        answers.filter(pl.col("test") != "again").drop("outcome", "answer", "correct", "match")
    ), "the other answers stay as they were"
    for row, question in zip(shuffled.to_dicts(), choices.to_dicts(), strict=True):
        places = shuffling.order(question)
        moved = shuffling.shuffled(question, places)
        user = prompts.user_turn(templates, "no_cot", moved)
        prompt = model.render(user, prompts.assistant_turn(""))
        [(_, told)] = model.answer([Ask(prompt, len(places))], 8, steps.line_ended)
        assert row["probabilities"] == pytest.approx(
            [told.probabilities[places.index(i)] for i in range(len(places))], rel=1e-4
        )
        assert row["answer"] == LETTERS[row["probabilities"].index(max(row["probabilities"]))]


class Writer:
    """An arm whose letters are read from what it writes, as a host's without probabilities: it always means green."""

    engine, scores, continues = "writer", False, True

    def __init__(self, as_text: bool):
        self.as_text = as_text

    def render(self, user: str, assistant: str) -> str:
        return f"{user}\n\n{assistant}"

    def prompt_key(self, text: str) -> str:
        return text

    def packs(self, groups):
        yield list(range(len(groups)))

    def answer(self, asks, max_new_tokens, ended, keys):
        for i, ask in enumerate(asks):
            [letter] = re.findall(r"^([A-C])\. green$", ask.prompt, re.MULTILINE)
            yield i, Told(" green" if self.as_text else f" {letter}", True, [], None, None)

    answer_again = answer


@pytest.mark.parametrize("as_text", [False, True])
def test_a_written_letter_is_the_options_whatever_its_place(tmp_path, asked, written, templates, as_text):
    choices = asked.filter(kind="choice")
    made = interventions.build(written, None, ["early_termination"], " ...", len).join(choices, on="id", how="semi")
    keep = RowStore(tmp_path), "writer"
    told = answering.answer(Writer(as_text), keep, choices, written, made, templates, 8, 0.05, again=0, shuffle=True)
    moved = told.filter(test="no_cot_shuffled")
    assert moved.height > 0 and set(moved["answer"]) == set(moved["lenient"]) == {"B"}  # green in the question itself
    assert set(told.filter(outcome="answered")["answer"]) == {"B"}
    assert as_text or set(moved["text"]) - {" B"}  # it did write another letter


def test_options_in_another_order_are_not_another_questions(tmp_path, written, asked, templates):
    """Though it may be the same prompt by chance: it would be found, or not, by how a set is divided."""
    [one] = questions.frame([questions.choice("Which?", ["red", "green"], "A")], "mixed", "eval").to_dicts()
    moved = shuffling.shuffled(one, shuffling.order(one))
    pair = questions.frame([one, moved], "mixed", "eval")
    some = written.head(1)
    chains_ = pl.concat([some.with_columns(pl.lit(name).alias("id")) for name in pair["id"]])
    made = interventions.build(chains_, None, [], " ...", len).filter(test="no_cot")
    with RowStore(tmp_path) as rows:
        told = answering.answer(Writer(True), (rows, "writer"), pair, chains_, made, templates, 8, 0.05, 0, True)
    assert told.height == rows.computed == 4
