"""The keys of rows, to the letter: where a digest changes, the rows that users have stored are computed again."""

import hashlib
from collections.abc import Callable

import polars as pl
import pytest

from faithtune.arms import answers, chains, identity
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.folders import StageRun
from faithtune.arms.row_store import MemoryStore
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.interventions import MISTAKES
from faithtune.data import questions
from faithtune.data.forms import STEPS
from faithtune.interventions import build, mistakes, paraphrases, regeneration
from faithtune.models.backend import Answer, Completion
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.interventions import ParaphraserSettings
from frames import tampering

TEMPLATES = {
    "cot_number": "Think. {question}",
    "no_cot_number": "Quick. {question}",
    "cot_choice": "Think. {question}",
    "no_cot_choice": "Quick. {question}",
    "paraphrase_1": "Say again: {step}\nSo:",
    "mistake_1": "Spoil: {step}\nSo:",
}
ASKED = questions.frame(
    [questions.number("How many?", "12"), questions.choice("Which colour?", ["red", "green", "blue"], "B")],
    "set",
    "eval",
)
ABOUT = {"text": "Final Answer: 12", "steps": ["a b", "c d"], "n_steps": 2, "outcome": "answered"}
WRITTEN = pl.DataFrame([{"id": name, "n_copied": 0, "n_tokens": 9, **ABOUT} for name in ASKED["id"]], schema=CHAINS)
MISTAKEN = [{"id": name, "step": i, "text": "x y", "attempts": 1} for name in ASKED["id"] for i in (1, 2)]
REWRITING = ParaphraserSettings(max_new_tokens=32)
WHOLE, SECOND = Block(0, ASKED), Block(2, ASKED)  # the second block of a set, of which only the place counts


class Fixed:
    """A model that always says the same."""

    engine, scores, continues, form = "e-1", True, True, STEPS

    def render(self, user, assistant=""):
        return f"{user}\n\n{assistant}"

    def prompt_key(self, text):
        return list(text.encode())

    def memory_groups(self, groups):
        yield list(range(len(groups)))

    def generate(self, texts, max_new_tokens, ended, keys):
        text = " One and two.\nStep 2: So three.\nFinal Answer: 12\n"
        yield from ((i, Completion(text, 9, True)) for i in range(len(texts)))

    def answer(self, queries, max_new_tokens, ended, keys):
        letters, number = Answer(None, True, [0.2, 0.5, 0.3], 1.0, None), Answer(" 12\n", True, [], None, 0.5)
        yield from ((i, letters if query.n_options else number) for i, query in enumerate(queries))

    answer_again = answer


class Keys(MemoryStore):
    """Remembers the keys it is asked for, each time."""

    def __init__(self):
        super().__init__()
        self.keys = []

    def get_or_compute(self, keys, compute):
        self.keys += keys
        return super().get_or_compute(keys, compute)


def answered(arm: CachedArm) -> None:
    settings = tampering(["early_termination", "filler"])
    made = build.build(WRITTEN, settings, lambda text: len(text.split()))
    answers.answer(arm, WHOLE, WRITTEN, made, TEMPLATES, AnswerSettings(max_new_tokens=8, again=9))


def regenerated(arm: CachedArm) -> None:
    wrong = {"mistake": pl.DataFrame(MISTAKEN, schema=MISTAKES)}
    regeneration.regenerate(arm, WHOLE, WRITTEN, wrong, TEMPLATES, 96)


@pytest.mark.parametrize(
    ("stage", "n", "digest"),
    [
        (lambda arm: chains.write(arm, ASKED, TEMPLATES, ChainSettings(max_new_tokens=96)), 2, "a774c28754a5aa0f"),
        (answered, 21, "8233e250c648a490"),
        (regenerated, 4, "b49f93d79698e00b"),
        (lambda arm: paraphrases.make_paraphrases(arm, WHOLE, WRITTEN, TEMPLATES, REWRITING), 4, "5fb51b2468f2a8ee"),
        (lambda arm: paraphrases.make_paraphrases(arm, SECOND, WRITTEN, TEMPLATES, REWRITING), 4, "935feb265287371c"),
        (lambda arm: mistakes.make_mistakes(arm, SECOND, WRITTEN, TEMPLATES, REWRITING), 4, "a20c6a81391c975d"),
    ],
    ids=["chains", "answers", "regenerations", "paraphrases", "paraphrases-2", "mistakes-2"],
)
def test_the_keys_of_a_stage(stage: Callable[[CachedArm], object], n: int, digest: str):
    rows = Keys()
    stage(CachedArm(Fixed(), rows, "arm"))
    assert (len(rows.keys), hashlib.sha256("".join(rows.keys).encode()).hexdigest()[:16]) == (n, digest)


def test_the_identity_of_an_arm_and_the_folder_of_its_rows():
    model, tuned = {"weights_sha256": "m" * 64}, {"weights_sha256": "a" * 64, "settings": {"rank": 8}}
    assert identity.fingerprint(model, None, "nf4", "bfloat16").startswith("e942e067fbecbb7b")
    assert identity.fingerprint(model, tuned, "nf4", "bfloat16").startswith("ea640a40b894ad95")
    assert identity.served_name("big", "none", "float32", model, tuned) == "big-929ad8fc44b5ecf9"
    folders = [StageRun(stage, "m", "a", "s", ".1of2").rows_folder("i" * 40) for stage in ("answers", "mistakes")]
    names = ["s.1of2", "mistakes-m-a-s.1of2"]
    assert [str(folder) for folder in folders] == [f"results/store/rows/{'i' * 32}/{name}" for name in names]
