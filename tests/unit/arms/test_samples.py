"""Samples: chains drawn for training questions, read like an arm's chains, each kept under a key of its own."""

import polars as pl
import pytest
import tiny

from faithtune.arms import blocks, chains
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.open import committed
from faithtune.arms.row_store import MemoryStore, RowStore
from faithtune.arms.sampling import samples
from faithtune.arms.sampling.open import SampleRun
from faithtune.core.schemas.samples import SAMPLES
from faithtune.data import questions
from faithtune.data.forms import STEPS, ThinkingForm
from faithtune.data.readers import arithmetic
from faithtune.models.backend import Completion
from faithtune.settings.chains import ChainSettings, SamplingSettings
from faithtune.study.sampling import Sampled

TEMPLATES = {"cot_number": "Think. {question}", "cot_choice": "Think. {question}"}
ASKED = questions.frame([questions.number("How many?", "12"), questions.number("And now?", "7")], "sums", "train")
LIMIT = ChainSettings(max_new_tokens=96)


class Speaker:
    """A model that writes the given texts in turn; those without a line end at their end are cut at the limit."""

    engine, continues, form = "e-1", True, STEPS

    def __init__(self, *texts: str):
        self.texts, self.draws = list(texts), []

    def render(self, user, assistant=""):
        return f"{user}\n\n{assistant}"

    def prompt_key(self, text):
        return list(text.encode())

    def generate(self, texts, max_new_tokens, ended, keys, draws):
        self.draws += draws
        for i in range(len(texts)):
            text = self.texts.pop(0)
            yield i, Completion(text, 9, text.endswith("\n"))


def settings(**changed) -> SamplingSettings:
    return SamplingSettings(**{"samples": 2, "temperature": 0.8, "seed": 3} | changed)


def test_each_sample_is_read_like_a_chain():
    right, wrong = " 3 times 4 is 12.\nFinal Answer: 12\n", " 3 and 4.\nStep 2: So 7.\nFinal Answer: 7\n"
    cut, silent, bare = " 12.\nFinal Answer: 12", " I wonder.\n", "\nFinal Answer: 12\n"
    arm = CachedArm(Speaker(right, wrong, cut, silent, bare, *[right] * 5), MemoryStore(), "arm")
    found = samples.draw(arm, ASKED, TEMPLATES, LIMIT, settings(samples=5))
    assert found.schema == SAMPLES
    first, second = found.head(5), found.tail(5)
    assert found.select("id", "sample").rows() == [(name, i) for name in ASKED["id"] for i in range(1, 6)]
    assert first["outcome"].to_list() == ["answered", "answered", "truncated", "unanswered", "answered"]
    assert first["free_answer"].to_list() == ["12", "7", None, None, "12"]
    assert first["right"].to_list() == [True, False, False, False, True]
    assert first["steps"].to_list()[:2] == [["3 times 4 is 12."], ["3 and 4.", "So 7."]]
    assert first["steps"].list.len().to_list()[4] == 0
    assert not second["right"].any()  # it says 12, and 7 is right
    assert set(found["n_tokens"]) == {9} and found["text"][0] == f"Step 1:{right}"


def test_only_a_closed_block_can_be_right():
    """Of a model that thinks."""
    form, [row, *_] = ThinkingForm("<think>\n", "\n</think>\n\n"), ASKED.to_dicts()
    thought, said = "<think>\n3 times 4.\n\nIs 12.", "Final Answer: 12\n"
    closed = samples.read(row, 1, f"{thought}\n</think>\n\n{said}", True, 9, form)
    assert closed["right"] and closed["steps"] == ["3 times 4.", "Is 12."]
    left_open = samples.read(row, 1, f"{thought}\n{said}", True, 9, form)
    assert (left_open["right"], left_open["outcome"]) == (False, "truncated")


def keys_of(how: SamplingSettings, arm: str = "arm") -> list[str]:
    rows = MemoryStore()
    samples.draw(CachedArm(Speaker(*["\n"] * 9), rows, arm), ASKED.head(1), TEMPLATES, LIMIT, how)
    return list(rows.rows)


def test_a_samples_key_has_all_that_decides_it():
    keys = keys_of(settings())
    assert len(set(keys)) == 2
    for changed in (settings(temperature=0.9), settings(seed=4)):
        assert set(keys).isdisjoint(keys_of(changed))
    assert set(keys).isdisjoint(keys_of(settings(), "other"))
    assert keys_of(settings(samples=4))[:2] == keys  # more samples leave the first alone
    assert keys_of(settings(temperature=1)) == keys_of(settings(temperature=1.0))
    rows = MemoryStore()
    arm = CachedArm(Speaker(*["\n"] * 2), rows, "arm")
    arm.model.generate = lambda texts, most, ended, keys: ((i, Completion("", 0, True)) for i in range(len(texts)))
    chains.write(arm, ASKED.head(1), TEMPLATES, LIMIT)
    assert set(keys).isdisjoint(rows.rows)


def test_random_numbers_follow_from_seed_prompt_and_number_alone():
    def seeds(asked, **changed):
        arm = CachedArm(Speaker(*["\n"] * 8), MemoryStore(), "arm")
        samples.draw(arm, asked, TEMPLATES, LIMIT, settings(**changed))
        return [draw.seed for draw in arm.model.draws]

    both = seeds(ASKED)
    assert len(set(both)) == 4
    assert seeds(ASKED[::-1]) == both[2:] + both[:2]
    assert seeds(ASKED.head(1), samples=4)[:2] == both[:2]
    assert set(seeds(ASKED, seed=4)).isdisjoint(both)
    assert seeds(ASKED, temperature=2.0) == both  # the same numbers, on other probabilities


def test_rows_of_other_jobs_that_draw_alike_are_read_unless_the_study_makes_them_now(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    one, four = settings(seed=0), settings(seed=0, samples=4)
    drawn = [("sums", one, None), ("sums", four, None), ("sums", four, 9), ("sums_2", four, None)]
    drawn += [("sums", settings(seed=1, samples=4), None), ("sums", settings(seed=0, temperature=0.81), None)]
    asked = [Sampled("m", data_set, how, n) for data_set, how, n in drawn]
    assert [each.name for each in asked[:3]] == ["t0.8-s0-m2", "t0.8-s0-m4", "n9-t0.8-s0-m4"]
    runs = {each.name: SampleRun(each.data_set, each.name, each.how) for each in asked if each.data_set == "sums"}
    for run in [*runs.values(), SampleRun("sums_2", asked[3].name, four)]:
        run.rows_folder("i" * 64).mkdir(parents=True)

    def found(name, made):
        return [path.name for path in runs[name].sibling_folders("i" * 64, made)]

    assert found("t0.8-s0-m4", ["t0.8-s0-m4"]) == ["samples-sums-n9-t0.8-s0-m4", "samples-sums-t0.8-s0-m2"]
    assert found("n9-t0.8-s0-m4", ["t0.8-s0-m4"]) == ["samples-sums-t0.8-s0-m2"]
    assert found("t0.8-s0-m4", ["t0.8-s0-m4", "t0.8-s0-m2", "n9-t0.8-s0-m4"]) == []


class Killed(Exception):
    pass


def drawn(folder, model, asked, templates, how, most=None) -> pl.DataFrame:
    """All samples, block by block; killed after `most` rows."""
    network = tiny.model(model, batch_size=4, max_packed_tokens=500)
    with RowStore(folder, together=True) as rows:
        put = rows.put

        def counting(key, value):
            if len(rows.rows) == most:
                raise Killed
            put(key, value)

        rows.put = counting
        arm = CachedArm(network, rows, "tiny")
        found = [
            samples.draw(arm, block.questions, templates, LIMIT, how) for block in committed(blocks.cut(asked, 3), arm)
        ]
    return pl.concat(found)


def test_a_killed_job_keeps_its_rows_and_draws_the_same(tmp_path, tiny_model, templates, capsys):
    choices = [questions.choice(f"Which colour is box {i}?", ["red", "green", "blue"], "ABC"[i]) for i in range(3)]
    asked, how = questions.frame(arithmetic.generate(3, seed=11) + choices, "mixed", "train"), settings(samples=3)
    whole = drawn(tmp_path / "whole", tiny_model, asked, templates, how)
    assert whole["text"].n_unique() > 9 and whole["right"].any()
    with pytest.raises(Killed):
        drawn(tmp_path / "killed", tiny_model, asked, templates, how, most=14)
    assert len(RowStore(tmp_path / "killed").rows) == 9  # of the first block
    capsys.readouterr()
    assert drawn(tmp_path / "killed", tiny_model, asked, templates, how).equals(whole)
    assert "18 rows, 9 computed" in capsys.readouterr().err
    more = drawn(tmp_path / "killed", tiny_model, asked, templates, settings(samples=4))
    assert "24 rows, 6 computed" in capsys.readouterr().err
    assert more.filter(pl.col("sample") <= 3).equals(whole)
