"""Evaluation sets in other forms: who is asked them, and what is no form."""

import pytest

from faithtune.core.errors import UserError
from faithtune.study import config
from faithtune.study.generalisation import shifts


def shifted(raw) -> set[tuple[str, str]]:
    return {(arm.path, name) for arm, name in shifts.shifted(config.load(raw))}


def test_every_measured_arm_is_asked_but_checkpoints(raw):
    raw["tunings"]["r8"]["checkpoints"] = [1]
    raw["shifts"] = {"siqa_shuffled": {"of": "siqa", "options": "shuffled"}}
    arms = {arm for arm, _ in shifted(raw)}
    assert "m/base" in arms and not any("@" in arm for arm in arms)
    assert any(arm.startswith("m/r8-") for arm in arms)


def test_a_form_has_templates_or_a_marker_of_its_own(raw, tmp_path):
    for name in ("cot_number", "no_cot_number"):
        (tmp_path / f"{name}.txt").write_text(f"{name}: {{question}}")
    raw["shifts"] = {"a": {"of": "siqa", "marker": "[A]"}, "b": {"of": "sums", "prompts": str(tmp_path)}}
    found = shifts.templates(config.load(raw))
    assert found["a"] == {"marker": "[A]"}
    assert found["b"] == {name: f"{name}: {{question}}" for name in ("cot_number", "no_cot_number")}


@pytest.mark.parametrize(
    ("shift", "error"),
    [
        ({"of": "siqa"}, "shifts.other changes nothing; expected one of the keys options, marker, prompts"),
        ({"of": "more", "marker": "(A)"}, "shifts.other.of names 'more'; expected one of eval_sets: "),
        (
            {"of": "sums", "options": "shuffled"},
            "shifts.other.options is for questions with options, and sums",
        ),
        ({"of": "sums", "marker": "(A)"}, "shifts.other.marker is for questions with options, and sums"),
        ({"of": "siqa", "marker": "A."}, "shifts.other.marker is A., as elsewhere; expected another one, such as (A)"),
        ({"of": "siqa", "marker": "a"}, "shifts.other.marker is 'a'; expected the letter A between signs, such as (A)"),
        ({"of": "sums", "prompts": "nowhere"}, "shifts.other.prompts: there is no folder nowhere"),
        ({"of": "sums", "prompts": "."}, "shifts.other.prompts: there is no cot_number.txt"),
    ],
)
def test_what_is_no_form_is_said_in_a_line(raw, shift, error):
    with pytest.raises(UserError) as caught:
        config.load(raw | {"shifts": {"other": shift}})
    assert error in str(caught.value)


def test_a_form_is_no_data_set(raw):
    with pytest.raises(UserError, match=r"shifts.siqa has a namesake in data_sets; rename one"):
        config.load(raw | {"shifts": {"siqa": {"of": "siqa", "options": "shuffled"}}})
