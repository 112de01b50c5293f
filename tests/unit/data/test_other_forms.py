"""Questions in another form."""

import polars as pl
import pytest

from faithtune.core.errors import UserError
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.data import prompts, questions, shifts


def asked(*options: list[str]) -> pl.DataFrame:
    rows = [questions.choice(f"Which is {i}?", list(each), "B") for i, each in enumerate(options)]
    return questions.frame(rows, "things", "eval")


def test_options_change_places_and_the_answer_with_them():
    before = asked(["red", "green", "blue"], ["one", "two", "three", "four"])
    after = shifts.with_shuffled_options(before, "other")
    assert after.schema == QUESTIONS
    for old, new in zip(before.to_dicts(), after.to_dicts(), strict=True):
        assert new["options"] != old["options"] and sorted(new["options"]) == sorted(old["options"])
        assert new["options"]["ABCD".index(new["answer"])] == old["options"][1]
        assert {name: new[name] for name in ("id", "group", "question")} == {
            name: old[name] for name in ("id", "group", "question")
        }
    assert after.equals(shifts.with_shuffled_options(before, "other"))


def test_questions_whose_options_mean_each_other_are_left_out():
    both = asked(["yes", "none of the above"], ["red", "green"])
    assert shifts.with_shuffled_options(both, "other")["id"].to_list() == [both["id"][1]]
    with pytest.raises(UserError, match=r"config: shifts.other.options: no question has options that can change"):
        shifts.with_shuffled_options(both.head(1), "other")


@pytest.mark.parametrize(("marker", "lines"), [("(A)", ["(A) red", "(B) green"]), ("A:", ["A: red", "B: green"])])
def test_a_marker_stands_before_each_option(marker, lines):
    row = asked(["red", "green"]).to_dicts()[0]
    user = prompts.user_turn({"cot_choice": "{question} Think.", "marker": marker}, "cot", row)
    assert user == "Which is 0?\n\n" + "\n".join(lines) + " Think."
