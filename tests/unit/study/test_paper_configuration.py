"""config/paper.yaml has the promised arms, and every line that a comment offers is valid."""

import re

import pytest
import yaml

from configurations import ROOT
from faithtune.core.errors import UserError
from faithtune.settings.configuration import Configuration
from faithtune.settings.tunings import TuningSettings
from faithtune.study import compared, config, plan

TEXT = (ROOT / "config/paper.yaml").read_text()
SETS = ["gsm8k", "medqa", "medmcqa", "cosmosqa"]
SMALL, LARGE = "llama3_8b", "large"
SMALLEST = 7473  # questions of GSM8K's training split
ABLATION = re.findall(r"^  # (\w+: \{.*\})$", TEXT, re.MULTILINE)
ALTERNATIVES = re.findall(r"^    #   (source: \S+)", TEXT, re.MULTILINE)


@pytest.fixture(autouse=True)
def in_the_repository(monkeypatch):
    monkeypatch.chdir(ROOT)


def loaded(text: str = TEXT) -> dict:
    return config.load(yaml.safe_load(text))


def arms(full: Configuration, model: str) -> dict[str, list]:
    """The train sets, seeds and rank of each tuning, from the arms."""
    found = {}
    for arm in plan.arms(full):
        if arm.model == model and arm.recipe:
            found.setdefault(arm.tuning, []).append((arm.train_set, arm.seed, arm.facts()["rank"]))
    return found


def test_the_arms_are_the_papers():
    full = loaded()
    assert full.eval_sets == SETS
    assert arms(full, SMALL) == {
        "qlora": [(name, seed, 16) for name in SETS for seed in (42, 43, 44)],
        "qlora_r8": [(name, 42, 8) for name in SETS],
        "qlora_r32": [(name, 42, 32) for name in SETS],
    }
    assert arms(full, LARGE) == {"qlora": [(name, seed, 16) for name in SETS for seed in (42, 43, 44)]}
    assert {model.quantisation for model in full.models.values()} == {"nf4"}
    assert full.paraphraser.model == SMALL
    assert full.tests == ["early_termination", "filler", "paraphrase"]
    assert full.measures.alphas == [0.25, 0.5, 0.75]
    assert {arm["tuning"] for arm in compared.headline_arms(full)} == {None, "qlora"}


def test_training_sets_have_one_size_and_evaluation_sets_are_complete():
    sets = loaded().data_sets
    assert {part.train.n for part in sets.values()} == {SMALLEST}
    assert {part.eval.n for part in sets.values()} == {None}


def test_two_tunings_differ_as_their_names_say():
    tunings = loaded().tunings
    other = {"rank", "alpha", "seeds", "models"}
    alike = [tunings[name].model_dump(exclude=other) for name in ("qlora", "qlora_r8", "qlora_r32")]
    assert alike[0] == alike[1] == alike[2]
    assert {tuning.alpha / tuning.rank for tuning in tunings.values()} == {2}


def test_the_file_states_every_key_of_a_tuning():
    tuning = yaml.safe_load(TEXT)["tunings"]["qlora"]
    assert set(tuning) == TuningSettings.model_fields.keys() - {
        "checkpoint_steps",
        "beta",
        "grpo",
        "n",
        "vary",
        "own",
        "checkpoints",
    }


@pytest.mark.parametrize("line", ABLATION, ids=lambda line: line.partition(":")[0])
def test_each_line_of_the_ablation_is_valid(line):
    full = loaded(TEXT.replace(f"  # {line}", f"  {line}"))
    name = line.partition(":")[0]
    one, other = full.tunings[name], full.tunings["qlora"]
    who = {"seeds", "models", "train_sets"}
    assert len([key for key, value in one if key not in who and value != getattr(other, key)]) == 1
    assert arms(full, SMALL)[name] == [(train_set, 42, 16) for train_set in one.train_sets]


def test_the_ablation_varies_targets_rate_and_epochs():
    found = {key for line in ABLATION for key in ("targets", "learning_rate", "epochs") if f" {key}: " in line}
    assert found == {"targets", "learning_rate", "epochs"}


def test_the_model_may_come_from_elsewhere():
    assert len(ALTERNATIVES) == 2
    for source in ALTERNATIVES:
        raw = yaml.safe_load(TEXT)
        raw["models"][SMALL] |= yaml.safe_load(source)
        if source.endswith("Instruct"):  # a folder that does not exist
            with pytest.raises(UserError, match=r"models\.llama3_8b.*\.\./models/Meta-Llama"):
                config.load(raw)
        else:
            config.load(raw)
