"""From questions to answers on the tiny model: chains, paraphrases, interventions, answers."""

import re
from collections.abc import Callable

import polars as pl
import pytest
import tiny

import small
from faithtune.arms import answers as answering
from faithtune.arms import chains
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import LINE, CachedArm, EndRule
from faithtune.arms.row_store import MemoryStore
from faithtune.data import option_order, prompts, questions
from faithtune.data.forms import STEPS
from faithtune.data.questions import LETTERS
from faithtune.data.readers import arithmetic
from faithtune.extraction import extract, steps
from faithtune.interventions import build, paraphrases
from faithtune.models import local, padded
from faithtune.models.backend import Answer, Completion, Query
from faithtune.models.tree import Tree
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.interventions import ParaphraserSettings
from frames import tampering


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
def arm(model):
    return cached(model)


@pytest.fixture(scope="module")
def written(arm, asked, templates):
    return chains.write(arm, asked, templates, ChainSettings(max_new_tokens=96))


@pytest.fixture(scope="module")
def tampered(model, written):
    return build.build(written, tampering(["early_termination", "filler"]), model.count_tokens)


@pytest.fixture(scope="module")
def answers(arm, asked, written, tampered, templates):
    return answering.answer(arm, Block(0, asked), written, tampered, templates, settings(again=7))


def cached(model, rows: MemoryStore | None = None) -> CachedArm:
    """The arm of a model, with no rows yet or with these."""
    return CachedArm(model, rows or MemoryStore(), "arm")


def settings(**changes) -> AnswerSettings:
    return AnswerSettings(**{"max_new_tokens": 8, "min_option_mass": 0.05, "again": 0, "shuffle": False} | changes)


def reworded(model, asked, frame, templates, longest: float = 2.0) -> pl.DataFrame:
    """The paraphrases by a model that is given the chains `frame`."""
    return paraphrases.make_paraphrases(
        cached(model), Block(0, asked), frame, templates, ParaphraserSettings(max_new_tokens=9, longest=longest)
    )


def test_chains_are_split_and_their_outcome_told(written, asked):
    assert written["id"].to_list() == asked["id"].to_list()
    for chain in written.to_dicts():
        assert chain["text"].startswith(prompts.CHAIN_START)
        assert chain["steps"] == steps.split(chain["text"])
        assert chain["n_steps"] == len(chain["steps"])
        assert chain["n_tokens"] <= 96
    assert (written["outcome"] == "answered").sum() >= 4


def test_a_chain_cut_at_the_limit_is_truncated_and_declares_nothing(model, asked, templates):
    cut = chains.write(cached(model), asked, templates, ChainSettings(max_new_tokens=4))
    assert set(cut["outcome"]) == {"truncated"}
    assert cut["free_answer"].is_null().all()


def test_without_a_forced_start_the_turn_is_the_arms_own(model, asked, templates):
    free = chains.write(cached(model), asked.head(1), templates, ChainSettings(max_new_tokens=96, forced_start=False))
    text = model.render(prompts.user_turn(templates, "cot", asked.to_dicts()[0]))
    [(_, alone)] = padded.generate(model, [text], 96, steps.chain_ended)
    assert free["text"].to_list() == [alone.text]


def test_numbers_are_what_greedy_decoding_writes(model, answers, tampered, asked, templates):
    """The tree and the store change no answer, and a number cut at the limit is none."""
    sums = {row["id"]: row for row in asked.filter(kind="number").to_dicts()}
    rows = [row for row in tampered.to_dicts() if row["id"] in sums]
    texts = [
        model.render(
            prompts.user_turn(templates, "no_cot" if row["test"] == "no_cot" else "cot", sums[row["id"]]),
            STEPS.answer(row["text"]),
        )
        for row in rows
    ]
    alone = dict(padded.generate(model, texts, 8, steps.line_ended))
    got = {(row["id"], row["test"], row["k"]): row for row in answers.to_dicts()}
    assert len(rows) > 12
    for i, row in enumerate(rows):
        answer = got[row["id"], row["test"], row["k"]]
        expected = extract.forced(alone[i].text, "number") if alone[i].finished else None
        assert answer["answer"] == (expected and expected.answer)
        assert answer["outcome"] == (expected.outcome if expected else "truncated")


def test_a_number_cut_at_the_limit_is_truncated(arm, asked, written, tampered, templates):
    """It might have gone on to another number: it is neither unanswered nor read, leniently either."""
    sums = tampered.join(asked.filter(kind="number"), on="id", how="semi")
    cut = answering.answer(arm, Block(0, asked), written, sums, templates, settings(max_new_tokens=1))
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
    rows = [row for row in tampered.to_dicts() if row["id"] in choices]
    texts = [answering.prompt(model, templates, choices[row["id"]], row["test"], row["text"]) for row in rows]
    asks = [Query(text, 3) for text in texts]
    got = {(row["id"], row["test"], row["k"]): row for row in answers.to_dicts()}
    alone = dict(padded.answer(model, asks, 8, bool))
    assert len(alone) == len(rows) > 12
    for i, row in enumerate(rows):
        answer = got[row["id"], row["test"], row["k"]]
        assert answer["probabilities"] == pytest.approx(alone[i].probabilities, abs=1e-4)


def test_what_is_asked_otherwise_is_computed_again(model, asked, written, tampered, templates):
    """Each setting that decides a row is in its key: the same again computes nothing, another one does."""
    rows = tampered.join(asked.filter(kind="number").head(1), on="id", how="semi")

    arm = cached(model)

    def computed(limit: int) -> int:
        before = arm.rows.computed
        answering.answer(arm, Block(0, asked), written, rows, templates, settings(max_new_tokens=limit, again=1))
        return arm.rows.computed - before

    assert computed(8) > computed(8) == 0
    assert computed(7) > 0
    for limit, forced_start, expected in ((20, True, 1), (20, True, 0), (19, True, 1), (20, False, 1)):
        before = arm.rows.computed
        chains.write(arm, asked.head(1), templates, ChainSettings(max_new_tokens=limit, forced_start=forced_start))
        assert arm.rows.computed - before == expected


def test_each_distinct_token_is_computed_once(tiny_model, asked, written, tampered, templates):
    fresh = tiny.model(tiny_model)
    answering.answer(cached(fresh), Block(0, asked), written, tampered, templates, settings())
    kinds, distinct = {row["id"]: row for row in asked.to_dicts()}, Tree()
    for row in tampered.to_dicts():
        text = answering.prompt(fresh, templates, kinds[row["id"]], row["test"], row["text"])
        distinct.insert(fresh.token_ids(text))
    assert len(distinct) <= fresh.cache.n_computed <= 1.15 * len(distinct)  # answers and references are short


def test_unlikely_letters_are_no_answer(arm, asked, written, tampered, templates):
    strict = answering.answer(arm, Block(0, asked), written, tampered, templates, settings(min_option_mass=1.0))
    choices = strict.filter(pl.col("probabilities").list.len() > 0)
    assert set(choices["outcome"]) == {"unanswered"}
    assert choices["answer"].is_null().all()


def test_a_truncated_chain_has_no_answer_of_its_own(arm, asked, written, templates):
    cut = written.with_columns(outcome=pl.lit("truncated"))
    made = build.build(cut, tampering(["early_termination"]), arm.model.count_tokens)
    answers = answering.answer(arm, Block(0, asked), cut, made, templates, settings(min_option_mass=0.0, again=9))
    assert set(answers.filter(test="full")["outcome"]) == {"truncated"}
    assert answers["reference"].is_null().all()
    assert "answered" in set(answers.filter(test="no_cot")["outcome"])


@pytest.mark.parametrize("why", ["unavailable", "truncated"])
def test_without_a_text_the_outcome_says_why(arm, asked, written, tampered, templates, why):
    filled = pl.col("test") == "filler"
    missing = tampered.with_columns(
        text=pl.when(~filled).then("text"), missing=pl.when(filled).then(pl.lit(why)).otherwise("missing")
    )
    answers = answering.answer(arm, Block(0, asked), written, missing, templates, settings(again=7))
    filler = answers.filter(test="filler")
    assert filler.height > 0
    assert set(filler["outcome"]) == {why}
    assert filler["match"].is_null().all()


def test_a_second_time_the_network_is_not_even_loaded(arm, asked, written, tampered, answers, templates):
    def fail():
        raise AssertionError("loaded again")

    unloaded = cached(local.LocalModel(arm.model.tokenizer, lambda: fail()), arm.rows)
    again = answering.answer(unloaded, Block(0, asked), written, tampered, templates, settings(again=7))
    assert again.equals(answers)


class Parrot:
    """A paraphraser of known answers: what it writes after each prompt is given."""

    form = STEPS

    def __init__(self, tokenizer, wording):
        self.engine, self.tokenizer, self.wording, self.asked = "parrot", tokenizer, wording, []
        self.finished = lambda step: True

    def render(self, user, assistant=""):
        return prompts.render(self.tokenizer, user, assistant)

    def prompt_key(self, text):
        return prompts.token_ids(self.tokenizer, text)

    def generate(self, texts, max_new_tokens, ended, keys):
        self.asked += texts
        for i, text in enumerate(texts):
            step = next(step for step in self.wording if f": {step}" in text)
            yield i, Completion(self.wording[step].pop(0), 5, self.finished(step))


def test_what_may_not_stand_for_a_step_is_refused(asked):
    """A text that was cut at the token limit, and one that newly names an option's text."""
    question = asked.filter(kind="choice").row(0, named=True)
    _, frame = chain_of(question["id"], ["It has a colour.", "It is not small."])
    parrot = Parrot(
        small.tokenizer(), {"It has a colour.": [" Its colour is red."], "It is not small.": [" It's not small"]}
    )
    parrot.finished = lambda text: "colour" in text
    made = reworded(parrot, asked, frame, {"paraphrase_1": "Line: {step}\nSo:"})
    assert made.select("text", "attempts", "reason").rows() == [(None, 1, "leaks the answer"), (None, 1, "truncated")]


def test_each_step_is_paraphrased_once_however_many_k_there_are(asked):
    """Equal steps of two chains share a row, and every k of a chain has the same words."""
    parts = ["Ann has one.", "Ben has two.", "Cid has six."]
    frame = pl.concat(chain_of(name, parts)[1] for name in asked["id"][:2])
    parrot = Parrot(small.tokenizer(), {step: [f" There is this: {step}"] for step in parts})
    templates = {"paraphrase_1": "Line: {step}\nSo:"}
    made = reworded(parrot, asked, frame, templates, longest=3.0)
    assert len(parrot.asked) == 3
    expected = [(name, i, f"There is this: {parts[i - 1]}") for name in asked["id"][:2] for i in (1, 2, 3)]
    assert made.select("id", "step", "text").rows() == expected
    spliced = build.build(frame, tampering(["paraphrase"]), len, made).filter(test="paraphrase")
    for k, text in spliced.select("k", "text").rows():
        assert text == STEPS.join([*parts[:k], *(f"There is this: {step}" for step in parts[k:])])


def chain_of(name: str, parts: list[str]) -> tuple[dict, pl.DataFrame]:
    """A chain of these steps, and the frame of it alone."""
    counts = {"n_steps": len(parts), "n_copied": 0, "n_tokens": 1}
    chain = {"id": name, "text": "", "steps": parts, **counts, "outcome": "answered", "free_answer": "3"}
    return chain, pl.DataFrame([chain], schema=chains.CHAINS)


def test_paraphrases_are_tried_until_one_passes(asked):
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
    parrot = Parrot(small.tokenizer(), wording)
    templates = {f"paraphrase_{i}": f"Try {i}.\nLine: {{step}}\nSo:" for i in (1, 2)}
    made = reworded(parrot, asked, frame, templates)
    assert made.rows() == [
        (chain["id"], 1, "1 plus 2 equals 3.", 1, None),
        (chain["id"], 2, "Everything is fine.", 2, None),
    ]
    assert parrot.asked[0].endswith("<|assistant|>\nSo:")


def test_a_step_no_attempt_could_paraphrase_says_why(asked):
    chain, frame = chain_of(asked["id"][0], ["All is well."])
    parrot = Parrot(small.tokenizer(), {"All is well.": [" All is well."]})
    made = reworded(parrot, asked, frame, {"paraphrase_1": "Line: {step}\nSo:"})
    assert made.rows() == [(chain["id"], 1, None, 1, "identical")]


def test_steps_copied_from_the_prompts_example_are_counted(asked, templates):
    question = asked.to_dicts()[0]
    text = "Step 1: 4 * 6 = 24.\nStep 2: 24 - 7 = 17.\nFinal Answer: 17"
    chain = chains.read(question, text, True, 9, example="Step 1: 4 * 6 = 24.\nStep 2: 24 - 5 = 19.\n{question}")
    assert (chain["n_steps"], chain["n_copied"]) == (2, 1)


def test_options_in_another_order_are_asked_without_a_chain(arm, asked, written, tampered, templates, answers):
    """Each choice once more; letters and probabilities are those of the question's own order."""
    choices = asked.filter(pl.col("kind") == "choice")
    again = answering.answer(
        arm, Block(0, asked), written, tampered, templates, settings(min_option_mass=0.0, shuffle=True)
    )
    shuffled = again.filter(test="no_cot_shuffled")
    assert shuffled["id"].to_list() == choices["id"].to_list()
    others = again.filter(pl.col("test") != "no_cot_shuffled")
    assert others.drop("outcome", "answer", "correct", "match").equals(
        answers.filter(pl.col("test") != "again").drop("outcome", "answer", "correct", "match")
    ), "the other answers stay as they were"
    for row, question in zip(shuffled.to_dicts(), choices.to_dicts(), strict=True):
        places = option_order.order(question)
        moved = option_order.shuffled(question, places)
        user = prompts.user_turn(templates, "no_cot", moved)
        prompt = arm.model.render(user, STEPS.answer(""))
        [(_, told)] = arm.model.answer([Query(prompt, len(places))], 8, steps.line_ended)
        assert row["probabilities"] == pytest.approx(
            [told.probabilities[places.index(i)] for i in range(len(places))], rel=1e-4
        )
        assert row["answer"] == LETTERS[row["probabilities"].index(max(row["probabilities"]))]


class Writer:
    """An arm whose letters are read from what it writes, as a host's without probabilities: it always means green."""

    engine, scores, continues, form = "writer", False, True, STEPS

    def __init__(self, as_text: bool):
        self.as_text = as_text

    def render(self, user: str, assistant: str) -> str:
        return f"{user}\n\n{assistant}"

    def prompt_key(self, text: str) -> str:
        return text

    def memory_groups(self, groups):
        yield list(range(len(groups)))

    def answer(self, asks, max_new_tokens, ended, keys):
        for i, ask in enumerate(asks):
            [letter] = re.findall(r"^([A-C])\. green$", ask.prompt, re.MULTILINE)
            yield i, Answer(" green" if self.as_text else f" {letter}", True, [], None, None)

    answer_again = answer


@pytest.fixture
def by_hand(asked) -> pl.DataFrame:
    """A chain of two steps for each question, written by nobody."""
    return pl.concat(chain_of(name, ["It is one.", "So it is."])[1] for name in asked["id"])


@pytest.mark.parametrize("as_text", [False, True])
def test_a_written_letter_is_the_options_whatever_its_place(asked, by_hand, templates, as_text):
    choices = asked.filter(kind="choice")
    made = build.build(by_hand, tampering(["early_termination"]), len).join(choices, on="id", how="semi")
    arm = cached(Writer(as_text))
    told = answering.answer(arm, Block(0, choices), by_hand, made, templates, settings(shuffle=True))
    moved = told.filter(test="no_cot_shuffled")
    assert moved.height > 0 and set(moved["answer"]) == set(moved["lenient"]) == {"B"}  # green in the question itself
    assert set(told.filter(outcome="answered")["answer"]) == {"B"}
    assert as_text or set(moved["text"]) - {" B"}  # it did write another letter


def test_options_in_another_order_are_not_another_questions(by_hand, templates):
    """Though it may be the same prompt by chance: it would be found, or not, by how a set is divided."""
    [one] = questions.frame([questions.choice("Which?", ["red", "green"], "A")], "mixed", "eval").to_dicts()
    moved = option_order.shuffled(one, option_order.order(one))
    pair = questions.frame([one, moved], "mixed", "eval")
    some = by_hand.head(1)
    chains_ = pl.concat([some.with_columns(pl.lit(name).alias("id")) for name in pair["id"]])
    made = build.build(chains_, tampering([]), len).filter(test="no_cot")
    arm = cached(Writer(True))
    told = answering.answer(arm, Block(0, pair), chains_, made, templates, settings(shuffle=True))
    assert told.height == arm.rows.computed == 4


class Said:
    """An arm that says what a test wants; `asks` holds all it was asked, `again` what it was asked a second time."""

    engine, scores, continues, form = "said", True, True, STEPS

    def __init__(self, say: Callable[[Query], Answer]):
        self.say, self.asks, self.again = say, [], []

    def render(self, user: str, assistant: str = "") -> str:
        return f"{user}\n\n{assistant}"

    def prompt_key(self, text: str) -> str:
        return text

    def memory_groups(self, groups):
        yield from ([i] for i in range(len(groups)))

    def answer(self, asks, max_new_tokens, ended, keys):
        for i, ask in enumerate(asks):
            self.asks.append(ask)
            yield i, self.say(ask)

    def answer_again(self, asks, max_new_tokens, ended, keys):
        self.again += asks
        yield from enumerate(map(self.say, asks))

    def generate(self, texts, max_new_tokens, ended, keys):
        yield from ((i, self.say(text)) for i, text in enumerate(texts))


def wrote(text: str, finished: bool = True) -> Answer:
    return Answer(text, finished, [], None, None)


def letters(*probabilities: float, mass: float = 1.0) -> Answer:
    return Answer(None, True, list(probabilities), mass, None)


SUM = questions.number("How many?", "12")
CHOICE = questions.choice("Which colour?", ["red", "green", "blue"], "B")
PART = questions.expression("Which part?", r"\frac{1}{2}")


def answered(templates, question: dict, say, chain: dict | None = None, **how) -> tuple[pl.DataFrame, Said]:
    """The answers to one question whose chain has two steps, by test and k; and the arm that gave them."""
    asked = questions.frame([question], "set", "eval")
    about = {"id": asked["id"][0], "text": "", "steps": ["a b", "c d"], "n_steps": 2, "n_copied": 0, "n_tokens": 9}
    about |= {"outcome": "answered", "free_answer": question["answer"]} | (chain or {})
    written = pl.DataFrame([about], schema=chains.CHAINS)
    made = build.build(written, tampering(["early_termination", "filler"]), lambda text: len(text.split()))
    said = Said(say)
    return answering.answer(cached(said), Block(0, asked), written, made, templates, settings(**how)), said


def after(ask: Query) -> str:
    """What stands in the assistant's turn before the cue."""
    return ask.prompt.rpartition("\n\n")[2].removesuffix(prompts.CUE).strip()


@pytest.mark.parametrize(
    ("question", "told", "expected"),
    [
        (SUM, wrote(" 12\n"), ("answered", "12", "12", True)),
        (SUM, wrote(" 13\n"), ("answered", "13", "13", False)),
        (SUM, wrote(" 1", finished=False), ("truncated", None, None, None)),  # 12 perhaps
        (SUM, wrote(" nobody knows\n"), ("unanswered", None, None, None)),
        (SUM, wrote(" 12 or 13\n"), ("unanswered", None, "12", None)),
        (PART, wrote(" $0.5$\n"), ("answered", r"\frac{1}{2}", r"\frac{1}{2}", True)),
        (PART, wrote(" 2/3\n"), ("answered", "2/3", "2/3", False)),
        (PART, wrote(" 0.5", finished=False), ("truncated", None, None, None)),  # 0.57 perhaps
        (PART, wrote(" nobody knows\n"), ("unanswered", None, None, None)),
        (PART, wrote(" \\frac{1}{\n"), ("unanswered", None, None, None)),
        (PART, wrote(" $0.5$, so $x = 3$\n"), ("unanswered", None, r"\frac{1}{2}", None)),
        (CHOICE, letters(0.1, 0.7, 0.2), ("answered", "B", "B", True)),
        (CHOICE, letters(0.7, 0.1, 0.2), ("answered", "A", "A", False)),
        (CHOICE, letters(0.1, 0.7, 0.2, mass=0.04), ("unanswered", None, "B", None)),  # it does not answer
        (CHOICE, letters(0.1, 0.7, 0.2, mass=0.05), ("answered", "B", "B", True)),
        (CHOICE, letters(0, 0, 0, mass=0), ("unanswered", None, None, None)),
        (CHOICE, wrote(" B", finished=False), ("truncated", None, None, None)),  # "Blue" perhaps
        (CHOICE, wrote(" B. gre", finished=False), ("answered", "B", "B", True)),
        (CHOICE, wrote(" None of these\n"), ("unanswered", None, None, None)),
    ],
)
def test_three_outcomes_never_collapse(templates, question, told, expected):
    rows, _ = answered(templates, question, lambda ask: told)
    for row in rows.to_dicts():
        assert (row["outcome"], row["answer"], row["lenient"], row["correct"]) == expected
        assert row["match"] == (True if row["answer"] else None)


SAID = {None: wrote(" nobody knows\n"), "12": wrote(" 12\n"), "13": wrote(" 13\n"), "cut": wrote(" 1", finished=False)}


@pytest.mark.parametrize("own", SAID)
@pytest.mark.parametrize("other", SAID)
def test_a_match_is_told_of_two_answers_only(templates, own, other):
    """`own` is said after the whole chain, `other` after all else."""
    whole = "Step 1: a b\nStep 2: c d"
    rows, arm = answered(templates, SUM, lambda ask: SAID[own if after(ask) == whole else other])
    known = {"12", "13"}
    reference = own if own in known else None
    assert set(rows["reference"]) == {reference}
    assert {ask.reference for ask in arm.asks if after(ask) != whole and after(ask)} == {reference}
    for row in rows.to_dicts():
        said = own if row["k"] == 2 else other
        assert row["match"] == ((said == own) if said in known and own in known else None)
        assert row["correct"] == ((said == "12") if said in known else None)


def test_an_expression_matches_in_another_spelling(templates):
    """Two wrong ones: neither is the gold answer or what the chain declares. No probability is asked for."""
    whole = "Step 1: a b\nStep 2: c d"
    say = {whole: wrote(" $\\frac{2}{3}$\n"), "": wrote(" 2/3\n")}
    rows, arm = answered(templates, PART, lambda ask: say.get(after(ask), wrote(" 3/4\n")))
    assert set(rows["reference"]) == {r"\frac{2}{3}"} and not rows["correct"].any()
    for row in rows.to_dicts():
        same = (row["test"], row["k"]) in {("no_cot", None), ("full", 2), ("early_termination", 0)} or row["k"] == 2
        assert (row["match"], row["answer"]) == (same, r"\frac{2}{3}" if same else "3/4")
    assert {ask.reference for ask in arm.asks} == {None}


def test_each_answer_is_that_of_its_own_prompt(templates):
    """No chain is asked for where none is told, and the number said is how many steps and fillers stand in the turn."""
    rows, arm = answered(templates, SUM, lambda ask: wrote(f" {len(after(ask).split())}\n"))
    told = {(row["test"], row["k"]): row["answer"] for row in rows.to_dicts()}
    assert told == {
        ("no_cot", None): "0",
        ("full", 2): "8",
        ("early_termination", 0): "0",
        ("early_termination", 1): "4",
        ("early_termination", 2): "8",
        ("filler", 0): "8",
        ("filler", 1): "8",
        ("filler", 2): "8",
    }
    question = questions.frame([SUM], "set", "eval").to_dicts()[0]
    users = {form: prompts.user_turn(templates, form, question) for form in ("cot", "no_cot")}
    assert users["cot"] != users["no_cot"]
    asked = {after(ask): ask.prompt.rpartition("\n\n")[0] for ask in arm.asks if after(ask)}
    assert set(asked.values()) == {users["cot"]}
    without = {ask.prompt.rpartition("\n\n")[0] for ask in arm.asks if not after(ask)}
    assert without == set(users.values())  # no_cot, and early termination at k = 0
    assert all(ask.prompt.endswith(prompts.CUE) for ask in arm.asks)


def test_the_answer_of_a_truncated_chain_is_none(templates):
    cut = {"outcome": "truncated", "free_answer": None}
    rows, _ = answered(templates, SUM, lambda ask: wrote(" 12\n"), cut, again=1)
    full = rows.row(by_predicate=pl.col("test") == "full", named=True)
    assert (full["outcome"], full["answer"], full["lenient"], full["correct"]) == ("truncated", None, None, None)
    assert set(rows["test"]) == {"no_cot", "full"}
    assert rows.select("reference", "match").null_count().row(0) == (2, 2)


def test_the_probability_of_the_own_answer_is_that_of_its_letter(templates):
    whole = "Step 1: a b\nStep 2: c d"
    told = {whole: letters(0.1, 0.2, 0.7)}
    rows, _ = answered(templates, CHOICE, lambda ask: told.get(after(ask), letters(0.5, 0.2, 0.3)))
    p = {(row["test"], row["k"]): row["p_reference"] for row in rows.to_dicts()}
    assert p["full", 2] == p["filler", 2] == 0.7
    assert p["no_cot", None] == p["filler", 0] == p["early_termination", 1] == 0.3


def test_the_probability_of_a_number_is_that_of_the_own_one(templates):
    """It can be asked for only once the own answer is known, so after the whole chain too."""

    def said(ask: Query) -> Answer:
        return Answer(
            " 12\n", True, [], None, None if ask.reference is None else len(after(ask)) + float(ask.reference)
        )

    rows, _ = answered(templates, SUM, said)
    p = {(row["test"], row["k"]): row["p_reference"] for row in rows.to_dicts()}
    assert p.pop(("no_cot", None)) is None
    assert p["full", 2] == p["early_termination", 2] == len("Step 1: a b\nStep 2: c d") + 12
    assert p["early_termination", 0] == 12 and p["early_termination", 1] == len("Step 1: a b") + 12


@pytest.mark.parametrize("why", ["unavailable", "truncated"])
def test_what_could_not_be_asked_says_why(templates, why):
    asked = questions.frame([SUM], "set", "eval")
    _, written = chain_of(asked["id"][0], ["a b", "c d"])
    made = build.build(written, tampering(["filler"]), lambda text: len(text.split()))
    missing = (pl.col("test") == "filler") & (pl.col("k") == 1)
    made = made.with_columns(
        text=pl.when(~missing).then("text"), missing=pl.when(missing).then(pl.lit(why)).otherwise("missing")
    )
    arm = cached(Said(lambda ask: wrote(" 12\n")))
    told = answering.answer(arm, Block(0, asked), written, made, templates, settings())
    lost = told.filter(test="filler", k=1).row(0, named=True)
    assert (lost["outcome"], lost["answer"], lost["match"], lost["correct"], lost["lenient"]) == (why, *[None] * 4)
    assert lost["reference"] == "12" and set(told.filter(pl.col("k").ne_missing(1))["outcome"]) == {"answered"}


def test_letters_of_another_order_are_told_as_the_options_own(templates):
    """An arm that always means green: its letter moves with the option, what is told of it does not."""

    def green(ask: Query) -> Answer:
        shown = dict(re.findall(r"^([A-C])\. (red|green|blue)$", ask.prompt, re.MULTILINE))
        return letters(*({"red": 0.1, "green": 0.7, "blue": 0.2}[shown[letter]] for letter in "ABC"))

    for name in ("Which colour?", "Which one?", "And which?", "Which of them?"):
        rows, _ = answered(templates, CHOICE | {"question": name}, green, shuffle=True)
        assert set(rows["test"]) >= {"no_cot", "no_cot_shuffled"}
        for row in rows.to_dicts():
            assert (row["answer"], row["correct"]) == ("B", True)
            assert row["probabilities"] == pytest.approx([0.1, 0.7, 0.2])


def test_full_chains_alone_are_asked_again(templates):
    rows, arm = answered(templates, SUM, lambda ask: wrote(" 12\n"), again=1)
    assert [after(ask) for ask in arm.again] == ["Step 1: a b\nStep 2: c d"]
    assert rows.filter(test="again").select("answer", "match", "p_reference").rows() == [("12", True, None)]
    assert answered(templates, SUM, lambda ask: wrote(" 12\n"))[1].again == []


class Keys:
    """In the place of a row store: remembers the keys it is asked for."""

    def __init__(self):
        self.keys = []

    def get_or_compute(self, keys, compute):
        self.keys += keys
        values = dict(compute(list(range(len(keys)))))
        return [values[i] for i in range(len(keys))]

    def commit(self):
        pass


def keys_of(templates, question: dict = SUM, arm: str = "arm", engine: str = "said", text="a b", **how) -> list[str]:
    """The keys of the rows of a question's answers, and of a chain of it."""
    asked = questions.frame([question], "set", "eval")
    _, written = chain_of(asked["id"][0], [text, "c d"])
    made = build.build(written, tampering(["early_termination"]), lambda text: len(text.split()))
    say = letters(*[1 / 3] * 3) if question["options"] else wrote(" 12\n")
    model, rows = Said(lambda ask: Completion(" 12", 1, True) if isinstance(ask, str) else say), Keys()
    model.engine = engine
    known = CachedArm(model, rows, arm)
    answering.answer(known, Block(0, asked), written, made, templates, settings(**how))
    chains.write(known, asked, templates, ChainSettings(max_new_tokens=settings(**how).max_new_tokens))
    return rows.keys


@pytest.mark.parametrize(
    "changed",
    [
        {"arm": "another"},
        {"engine": "newer"},
        {"max_new_tokens": 9},
        {"question": SUM | {"question": "How many then?"}},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_whatever_changes_a_row_changes_its_key(templates, changed):
    assert not set(keys_of(templates)) & set(keys_of(templates, **changed))
    assert keys_of(templates) == keys_of(templates)


def test_a_prompt_that_stays_keeps_its_key(templates):
    """Another first step changes the rows behind it and no other."""
    before, now = keys_of(templates), keys_of(templates, text="x y")
    same = [key for key in before if key in now]
    assert 0 < len(set(same)) < len(set(before))


def test_what_changes_no_row_changes_no_key(templates):
    assert keys_of(templates, min_option_mass=0.5) == keys_of(templates)
    assert keys_of(templates, CHOICE, max_new_tokens=9)[:-1] == keys_of(templates, CHOICE)[:-1]  # a letter is one token
    assert set(keys_of(templates, CHOICE)).isdisjoint(keys_of(templates))
    another = SUM | {"answer": "13", "rationale": "because"}  # what the arm is not shown
    assert keys_of(templates, another) == keys_of(templates)


def test_texts_are_kept_by_how_they_end():
    model, rows, other = Said(lambda text: Completion(text, 1, True)), Keys(), Keys()
    cached(model, rows).generate(["a", "b", "a"], 8, LINE)
    assert rows.keys[0] == rows.keys[2] != rows.keys[1]
    cached(model, other).generate(["a"], 8, EndRule("another", bool))
    assert other.keys[0] not in rows.keys


@pytest.mark.parametrize("forced_start", [True, False])
def test_what_a_cut_chain_declares_counts_nowhere(templates, forced_start):
    asked = questions.frame([SUM, CHOICE], "set", "eval")
    text = " Seven and five.\nFinal Answer: 12\nFinal Answer: B\n"
    for finished, outcome in ((True, "answered"), (False, "truncated")):
        arm = cached(Said(lambda _, finished=finished: Completion(text, 7, finished)))
        written = chains.write(arm, asked, templates, ChainSettings(max_new_tokens=9, forced_start=forced_start))
        assert set(written["outcome"]) == {outcome}
        assert set(written["text"]) == {prompts.CHAIN_START * forced_start + text}
        told = written.select("free_answer", "lenient").rows()
        assert told == ([("12", "12"), ("B", "B")] if finished else [(None, None)] * 2)
        assert written["span"].null_count() == (0 if finished else 2)
