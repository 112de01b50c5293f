"""Mixtures in the configuration: what their arms are, what they teach, and errors in one line."""

import pytest

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import NOT_KNOWN, data_sets_of, mixture_label
from faithtune.settings.data import Mixture
from faithtune.study import config, plan

MIXTURE = {"name": "mix", "of": {"sums": 3, "siqa": 1}, "n": 4}


def load(raw, *train_sets, **recipe):
    raw["tunings"] = {"r8": {"train_sets": list(train_sets), **recipe}}
    return config.load(raw)


def test_an_arm_is_named_by_its_mixture_and_knows_its_data_sets(raw):
    arms = plan.arms(load(raw, MIXTURE, "siqa", seeds=[1, 2]))[1:]
    assert [(arm.name, arm.label, arm.train_set) for arm in arms] == [
        ("r8-mix-1", "r8-mix", "mix (sums+siqa)"),
        ("r8-mix-2", "r8-mix", "mix (sums+siqa)"),
        ("r8-siqa-1", "r8-siqa", "siqa"),
        ("r8-siqa-2", "r8-siqa", "siqa"),
    ]
    assert arms[0].data.model_dump() == {
        "targets": {"sums": "rationale", "siqa": "answer_only"},
        "shares": {"sums": 0.75, "siqa": 0.25},
        "equal": "examples",
        "n": 4,
    }
    assert arms[0].target == "mixed" and arms[0].training()["target"] == "mixed"


@pytest.mark.parametrize(
    ("train_set", "parts"),
    [
        ("siqa", ["siqa"]),
        ("sums+siqa", ["sums", "siqa"]),
        (mixture_label("mix", ["sums", "siqa"]), ["sums", "siqa"]),
        (mixture_label("mix", ["sums"]), ["sums"]),
        (NOT_KNOWN, []),
        (None, []),
    ],
)
def test_data_sets_of_a_training_set(train_set, parts):
    assert data_sets_of(train_set) == parts


@pytest.mark.parametrize(
    ("of", "shares"),
    [
        ({"a": 0.7, "b": 0.3}, {"a": 0.7, "b": 0.3}),
        ({"a": 7, "b": "3"}, {"a": 0.7, "b": 0.3}),
        ({"a": "rest", "b": 0.2, "c": 0.3}, {"a": 0.5, "b": 0.2, "c": 0.3}),
        ({"a": "rest", "b": 0}, {"a": 1}),
        ({"a": 0.6, "b": 0.4, "c": "rest"}, {"a": 0.6, "b": 0.4}),
    ],
)
def test_shares(of, shares):
    assert Mixture(name="mix", of=of).shares == pytest.approx(shares)


def test_a_target_that_is_given_holds_for_all_data_sets(raw):
    full = load(raw, MIXTURE, target="answer_only")
    assert plan.arms(full)[-1].target == "answer_only"
    assert set(plan.arms(full)[-1].data.targets.values()) == {"answer_only"}
    assert plan.arms(load(raw, MIXTURE, method="grpo", batch_size=4))[-1].target == "own"


def test_a_data_set_of_a_mixture_may_have_a_target_of_its_own(raw):
    mixture = MIXTURE | {"targets": {"sums": "answer_only"}}
    assert plan.arms(load(raw, mixture))[1].data.targets == {"sums": "answer_only", "siqa": "answer_only"}
    with pytest.raises(UserError, match=r"train_sets: mix: targets names 'other'; expected one of sums, siqa$"):
        load(raw, MIXTURE | {"targets": {"other": "rationale"}})
    with pytest.raises(UserError, match=r"train_sets: mix: targets: grpo learns from chains that the model writes;"):
        load(raw, mixture, method="grpo")


def test_a_mixture_of_own_chains_would_not_have_its_shares(raw):
    with pytest.raises(
        UserError, match=r"train_sets: mix: with own chains .* shares cannot be kept; expected SET\+SET$"
    ):
        load(raw, MIXTURE, target="own")


def test_n_of_the_tuning_holds_where_the_mixture_has_none(raw):
    arms = plan.arms(load(raw, {"name": "mix", "of": MIXTURE["of"]}, "siqa", n=3))
    assert [arm.data.n for arm in arms if arm.recipe] == [3, 3]
    assert "n" not in arms[-1].training()


def test_a_mixture_is_a_reasoning_set_if_all_its_data_sets_are(raw):
    raw["data_sets"]["more"] = {"reader": "arithmetic", "train": {}}
    both = {"name": "both", "of": {"sums": 1, "more": 1}}
    found = plan.has_worked_solutions(load(raw, MIXTURE, both))
    assert found == {"mix (sums+siqa)": False, "both (sums+more)": True, "sums": True, "siqa": False, "more": True}


def test_an_arm_that_was_tuned_elsewhere_on_a_mixture_of_the_study(raw):
    raw["models"]["o"] = {"oracle": {"base": {}, "ft-mix-1": {}, "ft-siqa-1": {}}}
    arms = {arm.name: arm.train_set for arm in plan.arms(load(raw, MIXTURE)) if arm.model == "o"}
    assert arms == {"base": None, "ft-mix-1": "mix (sums+siqa)", "ft-siqa-1": "siqa"}


ERRORS = {
    "no mixture": (5, "train_sets.0 is 5; expected a data set, several joined by +, or a mixture: {name: NAME,"),
    "no shares": ({"name": "mix"}, "train_sets.0 lacks the key 'of'"),
    "an unknown key": (MIXTURE | {"off": 1}, "unknown key 'off' in tunings.r8.train_sets.0; did you mean of?"),
    "a bad name": (MIXTURE | {"name": "Mix"}, "train_sets.0.name is 'Mix'; expected at most 80 lower-case letters"),
    "the name of a data set": (MIXTURE | {"name": "siqa"}, "train_sets: siqa is the name of a data set; expected"),
    "an unknown data set": (MIXTURE | {"of": {"more": 1}}, "train_sets names 'more', which is not in data_sets"),
    "a share below 0": (MIXTURE | {"of": {"sums": -1}}, "of.sums is -1; expected a share of at least 0 such as 0.3"),
    "a share that is a word": (MIXTURE | {"of": {"sums": "most"}}, "of.sums is 'most'; expected a share of at least 0"),
    "a share that is not finite": (MIXTURE | {"of": {"sums": "NaN"}}, "of.sums is nan; expected a finite number"),
    "nothing but 0": (MIXTURE | {"of": {"sums": 0}}, "of is {'sums': 0}; expected a share above 0"),
    "two rests": (MIXTURE | {"of": {"sums": "rest", "siqa": "rest"}}, "expected rest for one data set at most"),
    "no rest": (MIXTURE | {"of": {"sums": "rest", "siqa": 2}}, "expected shares that leave a rest: a sum of at most 1"),
    "too many": (MIXTURE | {"n": 8}, "mix: n is 8, but mix has 7 at these shares (data_sets.SET.train.n)"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_errors(raw, case):
    train_set, expected = ERRORS[case]
    raw["data_sets"]["sums"]["train"]["n"] = 5
    with pytest.raises(UserError) as error:
        load(raw, train_set)
    assert expected in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("mixture", "recipe", "expected"),
    [
        (MIXTURE, {"n": 3}, "r8.train_sets: mix: n stands in the mixture and in the tuning; remove one of them"),
        (MIXTURE, {"target": "rationale"}, "r8.target is rationale, but siqa has none; expected answer_only"),
        (MIXTURE | {"equal": "tokens"}, {"method": "grpo"}, "mix: equal is tokens, but grpo learns from chains"),
    ],
)
def test_a_mixture_that_does_not_fit_the_recipe(raw, mixture, recipe, expected):
    with pytest.raises(UserError) as error:
        load(raw, mixture, **recipe)
    assert expected in str(error.value)


def test_two_mixtures_of_one_name_are_refused(raw):
    with pytest.raises(UserError, match="expected no name twice"):
        load(raw, MIXTURE, MIXTURE | {"n": 3})


def test_more_examples_than_a_set_has_are_refused(raw):
    with pytest.raises(UserError, match=r"r8\.n is 13, but sums\+siqa has 12 .* expected at most 12"):
        load(raw, "sums+siqa", n=13)


@pytest.mark.parametrize("recipe", [{}, {"n": 3}, {"batch_size": 5}], ids=["all", "n", "batch_size"])
def test_a_step_of_grpo_needs_its_questions(raw, recipe):
    raw["data_sets"]["sums"]["train"]["n"] = 4
    raw["tunings"]["r8"] = {"method": "grpo", "train_sets": ["sums"], "batch_size": 4} | recipe
    if not recipe:
        config.load(raw)
        return
    size, there = raw["tunings"]["r8"]["batch_size"], recipe.get("n", 4)
    expected = rf"r8\.batch_size is {size}, but sums has {there} questions, and grpo .* expected at most {there}$"
    with pytest.raises(UserError, match=expected):
        config.load(raw)


def test_hosts_take_shares_of_examples(raw):
    raw["models"]["gpt"] = {"api": {"model": "g", "base_url_env": "URL", "abilities": ["tune"]}}
    raw["hosted_tunings"] = {"ft": {"train_sets": [MIXTURE]}}
    arm = plan.arms(config.load(raw))[-1]
    assert (arm.name, arm.target, arm.data.n) == ("ft-mix-42", "mixed", 4)
    raw["hosted_tunings"]["ft"]["train_sets"] = [MIXTURE | {"equal": "tokens"}]
    with pytest.raises(UserError, match="mix: equal is tokens, but only a host knows how it counts them"):
        config.load(raw)
