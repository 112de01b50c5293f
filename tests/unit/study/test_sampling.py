"""Which chains a study draws, and the configurations that cannot draw any."""

import pytest

from faithtune.core.errors import UserError
from faithtune.report.tables import setup
from faithtune.study import config, plan, sampling


@pytest.fixture
def own(raw) -> dict:
    """A configuration whose recipe r8 has the target own."""
    raw["tunings"]["r8"] |= {"target": "own", "train_sets": ["sums", "siqa"]}
    return raw


def test_only_what_a_tuning_learns_from_is_drawn(own):
    assert list(sampling.of_study(config.load(own))) == ["m/sums/t0.8-s0-m4", "m/siqa/t0.8-s0-m4"]
    own["tunings"]["r8"]["train_sets"] = ["siqa"]
    full = config.load(own)
    assert list(sampling.of_study(full)) == ["m/siqa/t0.8-s0-m4"]
    assert {arm.name: len(sampling.of_arm(arm)) for arm in plan.arms(full)} == {
        **{"base": 0, "r16-sums-42": 0, "r16-siqa-42": 0},
        "r8-siqa-42": 1,
    }
    del own["tunings"]["r8"]["target"]
    assert sampling.of_study(config.load(own)) == {}


def test_tunings_that_draw_alike_share_their_chains(own):
    """Whatever they learn of them, and with whatever seeds."""
    recipe = own["tunings"]["r8"]
    own["tunings"] = {
        "one": recipe | {"own": {"temperature": 1}, "train_sets": ["sums"]},
        "all": recipe | {"own": {"temperature": 1.0, "keep": 4}, "rank": 32, "seeds": [1, 2]},
        "both": recipe | {"own": {"temperature": 1.0}, "train_sets": ["sums+siqa"]},
    }
    full = config.load(own)
    assert list(sampling.of_study(full)) == ["m/sums/t1.0-s0-m4", "m/siqa/t1.0-s0-m4"]
    own["tunings"]["one"]["own"] |= {"samples": 8}
    own["tunings"]["all"]["own"] |= {"seed": 7}
    assert sampling.names(config.load(own)) == {
        "m/sums": ["t1.0-s0-m8", "t1.0-s7-m4", "t1.0-s0-m4"],
        "m/siqa": ["t1.0-s7-m4", "t1.0-s0-m4"],
    }


def test_chains_are_drawn_for_the_questions_that_a_tuning_takes(own):
    """A tuning with more of them draws apart, so that it makes no training of the other stale."""
    own["tunings"]["r8"] |= {"train_sets": ["sums"], "vary": {"n": [3, 5]}}
    assert list(sampling.of_study(config.load(own))) == ["m/sums/n3-t0.8-s0-m4", "m/sums/n5-t0.8-s0-m4"]


def test_grpo_writes_its_chains_itself(own):
    own["tunings"]["r8"] = {"train_sets": ["sums"], "method": "grpo", "batch_size": 4}
    full = config.load(own)
    assert plan.arms(full)[-1].target == "own"
    assert sampling.of_study(full) == {}


def test_a_model_that_starts_from_an_arm_draws_its_own(own):
    own["models"]["taught"] = {"source": "arm:m/r16-sums-42"}
    own["tunings"]["r8"] |= {"models": ["taught"], "train_sets": ["sums"]}
    assert list(sampling.of_study(config.load(own))) == ["taught/sums/t0.8-s0-m4"]


def test_how_chains_are_drawn_is_part_of_a_training_with_that_target_alone(own):
    """A key more would be another identity of every arm, and all their rows would be computed again."""
    trainings = {arm.name: arm.training() for arm in plan.arms(config.load(own)) if arm.recipe}
    assert trainings["r8-sums-42"]["own"] == {"samples": 4, "temperature": 0.8, "seed": 0, "keep": 1}
    assert trainings["r8-sums-42"]["target"] == "own"
    assert "own" not in trainings["r16-sums-42"]
    assert "own" not in plan.result_relevant(config.load(own))["tunings"]["r16"]


def test_table_t11_says_how_many_questions_had_a_right_chain():
    card = {"settings": {"own": {"samples": 4, "temperature": 0.8}}, "examples": 9}
    card |= {"questions": 12, "questions_found": 7}
    table = setup.hyper_parameters([{"model": "m", "arm": "r8-sums"}], [card])
    assert dict(table.select("parameter", "value").rows()) == {
        "own": "samples 4, temperature 0.8",
        **{"examples": "9", "questions": "12", "questions_found": "7"},
    }


WRONG = {
    "own of another target": (
        {"own": {"samples": 8}, "target": "native"},
        "config: tunings.r8.own is for target own, but target is native; remove the key",
    ),
    "more than are drawn": (
        {"own": {"samples": 2, "keep": 3}},
        "config: tunings.r8.own.keep is 3; expected at most own.samples, 2",
    ),
    "no temperature": ({"own": {"temperature": 0}}, "config: tunings.r8.own.temperature is 0; expected at least 0.01"),
    "no samples": ({"own": {"samples": 0}}, "config: tunings.r8.own.samples is 0; expected at least 1"),
    "a key that is not there": (
        {"own": {"n": 3}},
        "config: unknown key 'n' in tunings.r8.own; known keys: keep, samples, seed, temperature",
    ),
    "an oracle": ({"models": ["o"]}, "config: tunings.r8.models names 'o', which is no model with a source"),
    "a host": ({"models": ["h"]}, "config: tunings.r8.models names 'h', which is no model with a source"),
}


@pytest.mark.parametrize("name", WRONG)
def test_mistakes_end_in_one_line(own, name):
    changed, line = WRONG[name]
    own["models"] |= {"o": {"oracle": {"base": {}}}, "h": {"api": {"model": "x", "base_url": "http://h/v1"}}}
    own["tunings"]["r8"] |= changed
    with pytest.raises(UserError) as error:
        config.load(own)
    assert str(error.value) == line


def test_a_host_learns_no_chains_of_its_own(raw):
    raw["models"]["h"] = {"api": {"model": "x", "base_url": "http://h/v1", "abilities": ["tune"]}}
    raw["hosted_tunings"] = {"there": {"train_sets": ["sums"], "target": "own"}}
    with pytest.raises(UserError) as error:
        config.load(raw)
    line = "config: hosted_tunings.there.target is 'own'; expected one of native, rationale, answer_only"
    assert str(error.value) == line
