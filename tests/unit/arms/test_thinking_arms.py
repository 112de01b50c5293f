"""Models that think, from questions to answers: tiny models with each family's chat template, and fixed texts."""

import polars as pl
import pytest
import tiny

import small
from faithtune.arms import answers as answering
from faithtune.arms import chains
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.core.schemas.interventions import PARAPHRASES
from faithtune.data import prompts, questions
from faithtune.data.forms import STEPS, ThinkingForm
from faithtune.data.readers import arithmetic
from faithtune.extraction import extract, steps, thinking
from faithtune.interventions import build, regeneration, rewriting
from faithtune.models import padded
from faithtune.models.backend import Answer, Completion
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from frames import tampering

FORM = ThinkingForm("<think>\n", "\n</think>\n\n")
LIMIT = 128
TESTS = ["early_termination", "filler", "prefix_paraphrase", "filler_sweep"]


@pytest.fixture(scope="module")
def model(thinking_model):
    return tiny.model(thinking_model, batch_size=4)


@pytest.fixture(scope="module")
def asked() -> pl.DataFrame:
    """Six sums and two choices."""
    options = ["red", "green", "blue"]
    choices = [questions.choice(f"Which colour is box {i}?", options, "ABC"[i]) for i in range(2)]
    return questions.frame(arithmetic.generate(6, seed=11) + choices, "mixed", "eval")


@pytest.fixture(scope="module")
def arm(model) -> CachedArm:
    return CachedArm(model, MemoryStore(), "arm")


@pytest.fixture(scope="module")
def written(arm, asked, templates):
    return chains.write(arm, asked, templates, ChainSettings(max_new_tokens=LIMIT))


def user_of(asked, identifier, templates, form="cot"):
    return prompts.user_turn(templates, form, asked.filter(id=identifier).row(0, named=True))


def test_a_chain_is_what_stands_in_the_block(model, asked, written, templates):
    assert model.form == FORM
    whole = written.filter(pl.col("outcome") != "truncated")
    assert whole.height >= 3 and (written["n_steps"] > 1).any()
    for chain in written.to_dicts():
        prompt = model.render(user_of(asked, chain["id"], templates), "<think>\n")
        [(_, alone)] = padded.generate(model, [prompt], LIMIT, lambda text: thinking.chain_ended(text, FORM))
        assert chain["text"] == "<think>\n" + alone.text
        thought, after = FORM.divide(chain["text"])
        assert chain["steps"] == thinking.split(thought)
        assert (chain["outcome"] == "truncated") == (after is None)


def test_answers_follow_the_closed_block(model, arm, asked, written, templates):
    """Each number is what greedy decoding writes after the tampered thoughts in a closed block."""
    same = pl.DataFrame(
        [
            {"id": chain["id"], "step": i, "text": step, "attempts": 1}
            for chain in written.to_dicts()
            for i, step in enumerate(chain["steps"], 1)
        ],
        schema=PARAPHRASES,
    )
    rests = regeneration.regenerate(arm, Block(0, asked), written, {"prefix_paraphrase": same}, templates, LIMIT)
    tampered = build.build(written, tampering(TESTS), model.count_tokens, same, rests, model.form)
    limits = AnswerSettings(max_new_tokens=8, again=2)
    got = answering.answer(arm, Block(0, asked), written, tampered, templates, limits)
    sums = set(asked.filter(kind="number")["id"])
    rows = [row for row in tampered.to_dicts() if row["id"] in sums and row["text"] is not None]
    texts = [
        model.render(
            user_of(asked, row["id"], templates, "no_cot" if row["test"] == "no_cot" else "cot"),
            f"<think>\n{row['text']}\n</think>\n\nFinal Answer:",
        )
        for row in rows
    ]
    alone = dict(padded.generate(model, texts, 8, steps.line_ended))
    answers = {(row["id"], row["test"], row["k"]): row for row in got.to_dicts()}
    assert {row["test"] for row in rows} == {"no_cot", "full", *TESTS}
    for i, row in enumerate(rows):
        assert answers[row["id"], row["test"], row["k"]]["text"] == alone[i].text
    assert got.filter(pl.col("test") == "again").height > 0
    choice = got.filter(~pl.col("id").is_in(sums), test="full")
    assert choice["probabilities"].list.len().to_list() == [3] * choice.height > [0]


def test_after_untouched_thoughts_an_arm_thinks_the_same_again(arm, asked, written, templates):
    same = pl.DataFrame(
        [
            {"id": chain["id"], "step": i, "text": step, "attempts": 1}
            for chain in written.to_dicts()
            for i, step in enumerate(chain["steps"], 1)
        ],
        schema=PARAPHRASES,
    )
    made = regeneration.regenerate(arm, Block(0, asked), written, {"prefix_paraphrase": same}, templates, LIMIT)
    own = {
        chain["id"]: chain
        for chain in written.to_dicts()
        if FORM.divide(chain["text"])[0].strip() == FORM.join(chain["steps"])
    }
    kept = made.filter(pl.col("id").is_in(list(own)))
    assert kept.height >= 2
    for row in kept.to_dicts():
        assert row["finished"]
        assert row["steps"] == own[row["id"]]["steps"]
        assert row["text"].endswith("</think>")


def test_thinking_cut_at_the_limit_is_truncated(model, asked, templates):
    cut = chains.write(CachedArm(model, MemoryStore(), "arm"), asked, templates, ChainSettings(max_new_tokens=4))
    assert set(cut["outcome"]) == {"truncated"}


class Said:
    """Continues every prompt with one text."""

    engine, scores, continues, form = "said", False, True, FORM

    def __init__(self, text, finished=True, answered="12"):
        self.text, self.finished, self.answered, self.prompts = text, finished, answered, []

    def render(self, user, assistant=""):
        return f"{user}\n\n{assistant}"

    def prompt_key(self, text):
        return list(text.encode())

    def memory_groups(self, groups):
        yield list(range(len(groups)))

    def generate(self, texts, max_new_tokens, ended, keys):
        self.prompts += texts
        yield from ((i, Completion(self.text, 9, self.finished)) for i in range(len(texts)))

    def answer(self, queries, max_new_tokens, ended, keys):
        self.prompts += [query.prompt for query in queries]
        yield from ((i, Answer(f" {self.answered}\n", True, [], None, None)) for i in range(len(queries)))

    answer_again = answer


SUM = questions.frame([questions.number("How many?", "12")], "set", "eval")
TEMPLATES = {"cot_number": "Think. {question}", "no_cot_number": "Quick. {question}"}
THOUGHT = "Five and six.\n\nFinal Answer: 11?\nNo, it is twelve.\n"


@pytest.mark.parametrize("forced_start", [True, False])
@pytest.mark.parametrize(
    ("said", "finished", "outcome", "declared"),
    [
        (f"{THOUGHT}</think>\n\nIt is:\nFinal Answer: 12\n", True, "answered", "12"),
        (f"{THOUGHT}</think>\n\nWell.", True, "unanswered", None),  # the thinking declares nothing
        (f"{THOUGHT}</think>\n\nFinal Answer: 12", False, "unanswered", None),  # the free answer was cut
        (THOUGHT, False, "truncated", None),
        (THOUGHT, True, "truncated", None),  # the model ended its turn within the block
    ],
)
def test_outcomes_of_a_chain(said, finished, outcome, declared, forced_start):
    arm = CachedArm(Said(said, finished), MemoryStore(), "arm")
    limits = ChainSettings(max_new_tokens=9, forced_start=forced_start)
    [chain] = chains.write(arm, SUM, TEMPLATES, limits).to_dicts()
    assert arm.model.prompts == ["Think. How many?\n\n<think>\n"]
    assert (chain["outcome"], chain["free_answer"]) == (outcome, declared)
    assert chain["steps"] == ["Five and six.", "Final Answer: 11? No, it is twelve."]
    assert chain["text"] == f"<think>\n{said}"
    if declared:
        start, end = chain["span"]
        assert chain["text"][start:end] == "12"
        assert start > chain["text"].index("</think>")


def test_each_prompt_of_the_answers_to_the_letter():
    arm = CachedArm(Said(f"{THOUGHT}</think>\n\nFinal Answer: 12\n"), MemoryStore(), "arm")
    written = chains.write(arm, SUM, TEMPLATES, ChainSettings())
    tampered = build.build(written, tampering(["early_termination"]), len, form=FORM)
    del arm.model.prompts[:]
    answering.answer(arm, Block(0, SUM), written, tampered, TEMPLATES, AnswerSettings(again=0))
    first, second = "Five and six.", "Final Answer: 11? No, it is twelve."
    thoughts = ["", first, f"{first}\n\n{second}"]
    turns = [f"Think. How many?\n\n<think>\n{thought}\n</think>\n\nFinal Answer:" for thought in thoughts]
    bare = "Quick. How many?\n\n<think>\n\n</think>\n\nFinal Answer:"
    assert set(arm.model.prompts) == {bare, *turns}


HALF = questions.frame([questions.expression("How much?", r"\frac{1}{2}")], "set", "eval")
OF_HALF = {"cot_expression": "Think. {question}", "no_cot_expression": "Quick. {question}"}
HALVING = "It is $\\frac{1}{3}$.\n\nFinal Answer: $\\frac{1}{3}$?\nNo, halve it.\n"


@pytest.mark.parametrize(
    ("after", "outcome", "declared", "written"),
    [
        ("Final Answer: $0.5$\n", "answered", r"\frac{1}{2}", "0.5"),
        ("So it is \\boxed{\\tfrac12}.", "answered", r"\frac{1}{2}", r"\tfrac12"),
        ("Final Answer: $\\frac{2}{3}$\n", "answered", r"\frac{2}{3}", r"\frac{2}{3}"),
        ("It is done.", "unanswered", None, None),  # the thinking declares nothing
    ],
)
def test_an_expression_is_read_after_the_block(after, outcome, declared, written):
    arm = CachedArm(Said(f"{HALVING}</think>\n\n{after}"), MemoryStore(), "arm")
    [chain] = chains.write(arm, HALF, OF_HALF, ChainSettings()).to_dicts()
    assert (chain["outcome"], chain["free_answer"]) == (outcome, declared)
    assert chain["steps"] == [r"It is $\frac{1}{3}$.", r"Final Answer: $\frac{1}{3}$? No, halve it."]
    if written:
        start, end = chain["span"]
        assert chain["text"][start:end] == written and start > chain["text"].index("</think>")


def test_expressions_after_thoughts_have_one_spelling():
    arm = CachedArm(Said(f"{HALVING}</think>\n\nFinal Answer: $0.5$\n", answered="1/2"), MemoryStore(), "arm")
    written = chains.write(arm, HALF, OF_HALF, ChainSettings())
    tampered = build.build(written, tampering(["early_termination"]), len, form=FORM)
    got = answering.answer(arm, Block(0, HALF), written, tampered, OF_HALF, AnswerSettings(again=0))
    assert set(got["answer"]) == {r"\frac{1}{2}"} and got["correct"].all()
    assert got["match"].drop_nulls().all() and got["p_reference"].null_count() == got.height
    assert arm.model.prompts[-1].endswith("\n</think>\n\nFinal Answer:")


@pytest.mark.parametrize(
    ("said", "finished", "whole"), [("No.\n\nSix.\n</think>", True, True), ("No.\n\nSix.", True, False)]
)
def test_the_rest_is_thought_within_the_block(said, finished, whole):
    arm = CachedArm(Said(f"{THOUGHT}</think>"), MemoryStore(), "arm")
    written = chains.write(arm, SUM, TEMPLATES, ChainSettings())
    arm.model = Said(said, finished)
    words = [{"id": written["id"][0], "step": i, "text": f"Or so {i}.", "attempts": 1} for i in (1, 2)]
    rewritten = {"prefix_paraphrase": pl.DataFrame(words, schema=PARAPHRASES)}
    [rest] = regeneration.regenerate(arm, Block(0, SUM), written, rewritten, TEMPLATES, 9).to_dicts()
    assert arm.model.prompts == ["Think. How many?\n\n<think>\nOr so 1.\n\n"]
    assert rest["steps"] == ["Or so 1.", "No.", "Six."]
    assert rest["finished"] == whole


def test_a_paraphraser_that_thinks_is_asked_without_thinking():
    arm = CachedArm(Said("Six and five.\n"), MemoryStore(), "arm")
    chain = pl.DataFrame([{"id": "a", "steps": ["Five and six."], "outcome": "answered"}])
    [row] = rewriting.rewrite(arm, chain, ["Say again: {step}\nSo:"], 9, lambda row, text: None)
    assert arm.model.prompts == ["Say again: Five and six.\n\n<think>\n\n</think>\n\nSo:"]
    assert row["text"] == "Six and five."


def test_rows_of_a_chain_with_a_block_have_keys_of_their_own():
    """The same prompt under another rule of its end is another row."""

    class Keys(MemoryStore):
        def get_or_compute(self, keys, compute):
            self.known = keys
            return super().get_or_compute(keys, compute)

    def keys(form, settings, text=""):
        arm = CachedArm(Said(text), Keys(), "arm")
        arm.model.form = form
        chains.write(arm, SUM, {"cot_number": f"{{question}}{text}"}, settings)
        return arm.rows.known

    free = ChainSettings(forced_start=False)
    assert keys(FORM, free) != keys(STEPS, free, "\n\n<think>\n")
    assert keys(FORM, free) == keys(FORM, ChainSettings(forced_start=True))
    other = ThinkingForm("<think>\n", "\n</done>\n\n")
    assert keys(FORM, free) != keys(other, free)


def test_the_tokens_of_the_prompt_are_those_of_the_block_as_a_model_writes_it():
    """A tag is one token, so that what stands beside it cannot change it."""
    tokenizer = tiny._tokenizer(small._TEXTS, tiny.QWEN3)
    inner = prompts.token_ids(tokenizer, "a\n")
    whole = prompts.token_ids(tokenizer, "<think>\na\n</think>\n\nFinal Answer:")
    [opening], [closing] = (prompts.token_ids(tokenizer, tag) for tag in ("<think>", "</think>"))
    assert (whole[0], whole[2 : 2 + len(inner)], whole[2 + len(inner)]) == (opening, inner, closing)
    assert extract.declared(tokenizer.decode(whole) + " 12", "number").answer == "12"
