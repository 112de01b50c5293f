"""Regenerates the rest of chains after tampered steps on the tiny model, and makes mistakes through the gate."""

import polars as pl
import pytest
import tiny

import small
from faithtune.arms import chains
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES, REGENERATIONS
from faithtune.data import prompts, questions
from faithtune.data.forms import STEPS
from faithtune.data.readers import arithmetic
from faithtune.extraction import steps
from faithtune.interventions import build, mistakes, regeneration
from faithtune.models import local
from faithtune.settings.chains import ChainSettings
from faithtune.settings.interventions import ParaphraserSettings
from frames import tampering

MISTAKE = tampering(["mistake"])


@pytest.fixture(scope="module")
def model(tiny_model):
    return tiny.model(tiny_model, batch_size=4)


@pytest.fixture(scope="module")
def asked() -> pl.DataFrame:
    return questions.frame(arithmetic.generate(8, seed=11), "sums", "eval")


@pytest.fixture(scope="module")
def written(model, asked, templates):
    return chains.write(CachedArm(model, MemoryStore(), "tiny"), asked, templates, ChainSettings(max_new_tokens=96))


@pytest.fixture
def arm(model) -> CachedArm:
    return CachedArm(model, MemoryStore(), "tiny")


def rewritten(frame: pl.DataFrame, schema: pl.Schema, edit) -> pl.DataFrame:
    """A frame with every step of the chains, edited."""
    rows = [
        {"id": chain["id"], "step": i, "text": edit(step), "attempts": 1}
        for chain in frame.to_dicts()
        for i, step in enumerate(chain["steps"], 1)
    ]
    return pl.DataFrame(rows, schema=schema)


def test_after_untouched_steps_an_arm_writes_its_own_chain_again(arm, asked, written, templates):
    """After its own steps an arm continues exactly as in its chain, and may stop where that stopped."""
    same = rewritten(written, PARAPHRASES, str)
    untouched = same.with_columns(made_by=pl.lit("rule")).select(MISTAKES.names())
    both = {"prefix_paraphrase": same, "mistake": untouched}
    made = regeneration.regenerate(arm, Block(0, asked), written, both, templates, 96)
    # A chain that miscounts its markers is rendered differently, so the arm would continue other text.
    own = {chain["id"]: chain for chain in written.to_dicts() if chain["text"].startswith(STEPS.join(chain["steps"]))}
    assert made.schema == REGENERATIONS
    kept = made.filter(pl.col("id").is_in(list(own)))
    for row in kept.to_dicts():
        assert row["finished"]
        assert row["steps"] == own[row["id"]]["steps"]
        assert own[row["id"]]["text"].endswith(f"\n{row['text']}")
    assert kept.filter(test="prefix_paraphrase").height >= 3
    stopped = kept.filter(pl.col("k") + 1 == pl.col("steps").list.len(), test="mistake")
    assert stopped["text"].str.starts_with(prompts.CUE).sum() >= 3


def test_only_what_the_tests_need_is_written_and_equal_prompts_once(arm, asked, written, templates):
    same = rewritten(written, PARAPHRASES, str)
    n = dict(written.select("id", "n_steps").iter_rows())
    both = {"prefix_paraphrase": same, "mistake": same}
    made = regeneration.regenerate(arm, Block(0, asked), written, both, templates, 96)
    assert made.filter(test="prefix_paraphrase").height == sum(count - 1 for count in n.values())
    assert made.filter(test="mistake").height == sum(n.values())
    # A mistake that changed nothing in step k + 1, and k + 1 unchanged steps, are the same prompt.
    assert arm.rows.computed == sum(n.values())


def test_a_mistake_is_followed_by_a_rest_of_its_own(arm, asked, written, templates):
    wrong = rewritten(written, MISTAKES, lambda step: f"{step[:-1]}1.").filter(pl.col("step") != 2)
    made = regeneration.regenerate(arm, Block(0, asked), written, {"mistake": wrong}, templates, 96)
    assert 1 not in made["k"]  # no mistake in step 2: no row, and the intervention is unavailable
    for row in made.filter(k=0).to_dicts():
        step = wrong.filter(id=row["id"], step=1)["text"][0]
        assert row["steps"][0] == step
        user = prompts.user_turn(templates, "cot", asked.filter(id=row["id"]).to_dicts()[0])
        text = arm.model.render(user, f"Step 1: {step}\n")
        [(_, alone)] = arm.model.generate([text], 96, steps.chain_ended)
        assert (row["text"], row["n_tokens"]) == (alone.text, alone.n_tokens)
    built = build.build(written, MISTAKE, arm.model.count_tokens, regenerations=made).filter(test="mistake")
    assert set(built.filter(k=1, missing="unavailable")["id"]) == set(written.filter(pl.col("n_steps") > 1)["id"])
    assert built.filter(pl.col("k") == pl.col("n_steps"))["missing"].is_null().all()


def test_a_rest_cut_at_the_limit_is_truncated(arm, asked, written, templates):
    same = rewritten(written, MISTAKES, str)
    made = regeneration.regenerate(arm, Block(0, asked), written, {"mistake": same}, templates, 2)
    assert not made["finished"].any()
    built = build.build(written, MISTAKE, arm.model.count_tokens, regenerations=made).filter(test="mistake")
    assert set(built.filter(pl.col("k") < pl.col("n_steps"))["missing"]) == {"truncated"}


@pytest.mark.parametrize(
    ("begun", "text", "expected"),
    [
        (["a b."], "Step 2: c d.\nFinal Answer: 4\n", ["a b.", "c d."]),
        (["a b."], "Final Answer: 4\n", ["a b."]),
        (["a b."], "", ["a b."]),
        (["Tom has pens. He loses one."], "Final Answer: 4", ["Tom has pens. He loses one."]),  # stays one step
        (["a b.", "c d."], "\nStep 3: e f.\n\nStep 4: g h.", ["a b.", "c d.", "e f.", "g h."]),
        (["a b."], "and on it goes.\nStep 2: c d.", ["a b. and on it goes.", "c d."]),
        (["a b."], "Step 7: c d.\nThe answer is 4.", ["a b.", "c d."]),
    ],
)
def test_steps_of_the_whole(begun, text, expected):
    assert regeneration.steps_with_rest(begun, text) == expected


def test_an_arm_goes_on_behind_the_line_of_the_tampered_step(asked, templates):
    """The prompt asks for a chain and holds the kept steps and the tampered step, without the next marker."""

    class Listener(Parrot):
        def generate(self, texts, max_new_tokens, ended, keys):
            self.texts = texts
            yield from (
                (i, local.Completion(f"Step 9: So {i}.\nFinal Answer: 1\n", 5, i > 0)) for i in range(len(texts))
            )

    name, parts = asked["id"][0], ["a b.", "c d.", "e f."]
    chain = {"id": name, "text": "", "steps": parts, "n_steps": 3, "n_copied": 0, "n_tokens": 1, "outcome": "answered"}
    frame = pl.DataFrame([chain, chain | {"id": asked["id"][1], "outcome": "truncated"}], schema=CHAINS)
    mistaken = rewritten(frame, MISTAKES, lambda step: f"not {step}")
    model = Listener(small.tokenizer(), {})
    arm = CachedArm(model, MemoryStore(), "p")
    made = regeneration.regenerate(arm, Block(0, asked), frame, {"mistake": mistaken}, templates, 9)
    user = prompts.user_turn(templates, "cot", asked.row(0, named=True))
    begun = [STEPS.join([*parts[:k], f"not {parts[k]}"]) + "\n" for k in range(3)]
    assert model.texts == [prompts.render(model.tokenizer, user, turn) for turn in begun]
    assert made.select("id", "k", "finished").rows() == [(name, 0, False), (name, 1, True), (name, 2, True)]
    assert made["steps"].to_list() == [[*parts[:k], f"not {parts[k]}", f"So {k}."] for k in range(3)]


class Parrot:
    """A model with fixed replies to each step, in the order of the attempts."""

    engine, form = "parrot", STEPS

    def __init__(self, tokenizer, wording):
        self.tokenizer, self.wording = tokenizer, wording

    def render(self, user, assistant=""):
        return prompts.render(self.tokenizer, user, assistant)

    def prompt_key(self, text):
        return prompts.token_ids(self.tokenizer, text)

    def generate(self, texts, max_new_tokens, ended, keys):
        for i, text in enumerate(texts):
            step = next(step for step in self.wording if f": {step}" in text)
            yield i, local.Completion(self.wording[step].pop(0), 5, finished=True)


def test_mistakes_say_who_made_them(asked):
    """The model's mistake if one passes, else a changed number, else none; a leaked answer is refused."""
    wording = {
        "2 + 3 = 5.": [" 2 + 3 = 5.", " 2 + 3 = 6.\n"],
        "5 * 2 = 10.": [" 5 * 2 = 12.", " 5 * 2 = 10."],  # 12 is the arm's answer
        "All is well.": [" All is well.", " All is well, all is well."],
    }
    chain = {
        "id": asked["id"][0],
        "text": "",
        "steps": list(wording),
        "n_steps": 3,
        "n_copied": 0,
        "n_tokens": 1,
        "outcome": "answered",
        "free_answer": "12",
    }
    cut = chain | {"id": asked["id"][1], "steps": ["1 + 1 = 2."], "outcome": "truncated", "free_answer": None}
    frame = pl.DataFrame([chain, cut], schema=CHAINS)
    templates = {f"mistake_{i}": f"Try {i}.\nLine: {{step}}\nWrong:" for i in (1, 2)} | {"paraphrase_1": "no\n{step}"}
    arm = CachedArm(Parrot(small.tokenizer(), wording), MemoryStore(), "p")
    made = mistakes.make_mistakes(arm, Block(0, asked), frame, templates, ParaphraserSettings(max_new_tokens=9))
    assert made.drop("id", "text").rows() == [
        (1, "model", 2, None),
        (2, "rule", 2, "no mistake"),
        (3, None, 2, "no mistake"),
    ]
    assert set(made["id"]) == {chain["id"]}
    first, second, third = made["text"].to_list()
    assert (first, third) == ("2 + 3 = 6.", None)
    assert second.startswith("5 * 2 = ") and second not in ("5 * 2 = 10.", "5 * 2 = 12.")


def test_a_mistake_may_quote_another_option_but_no_answer():
    question = {"answer": "A", "options": ["the heart", "the liver", "the lung"]}
    assert mistakes._answers_to_hide(question, "B") == ["the heart", "the liver"]
    assert mistakes._answers_to_hide(question, None) == ["the heart"]
    assert mistakes._answers_to_hide({"answer": "12", "options": []}, "13") == ["12", "13"]
