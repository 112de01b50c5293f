"""All questions of a source: groups and left-out rows of `reader: table`."""

import json

import pytest

from faithtune.core.errors import UserError
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.data import reading
from faithtune.settings.data import SplitSelection


def selection(path, **keys) -> SplitSelection:
    file = {"source": str(path)}
    about = {"data_set": "mine", "split": "eval", "reader": "table", "seed": 0, "train_share": 0.5, "n": None}
    return SplitSelection.model_validate(about | {"table": keys, "files": {"eval": file}})


@pytest.fixture
def file(tmp_path):
    authors = ["ann", "ben", "ann", None, "ann", "ben"]
    rows = [{"id": f"r{i}", "q": f"{i} + 1?", "a": i + 1, "by": author} for i, author in enumerate(authors)]
    rows[4]["q"] = rows[0]["q"]  # the same question again
    rows[1]["a"] = "two"
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path / "sums.jsonl"


def test_questions_with_one_value_are_a_group(file):
    columns = {"question": "q", "answer": "a", "group": "by"}
    found, skipped = reading.read(selection(file, columns=columns, max_bad_rows=1), "eval", str(file))
    assert skipped == 1 and found.schema == QUESTIONS
    assert found["source_id"].to_list() == ["r0", "r2", "r3", "r5"]
    groups = found["group"].to_list()
    assert groups[0] == groups[1] and len(set(groups)) == 3
    assert groups[2] == found["id"][2]  # it names none


def test_a_bad_row_is_named_with_its_file(file):
    with pytest.raises(UserError) as error:
        reading.read(selection(file, columns={"question": "q", "answer": "a"}), "eval", str(file))
    assert str(error.value) == (
        f"data_sets.mine.eval: {file}: row 2: a is 'two'; expected a plain number such as 1234.5, or the key"
        " answer_pattern"
    )
