"""The row store: nothing computed twice, nothing damaged believed, no two arms confused."""

import pytest

from faithtune import arms, parquet, store
from faithtune.store import RowStore, row_key

KEY = {"arm": "a", "token_ids": [1, 2], "task": {"do": "answer", "n_options": 4}, "engine": "1"}


def computing(calls):
    def compute(missing):
        calls.append(list(missing))
        for i in missing:
            yield i, {"value": i * 10}

    return compute


def test_rows_come_in_the_order_of_the_keys_and_once(tmp_path):
    calls = []
    rows = RowStore(tmp_path).through(["b", "a", "b"], computing(calls))
    assert calls == [[0, 1]]
    assert rows == [{"value": 0}, {"value": 10}, {"value": 0}]


def test_another_job_finds_them(tmp_path):
    RowStore(tmp_path).through(["a", "b"], computing([]))
    calls = []
    rows = RowStore(tmp_path).through(["c", "b", "a"], computing(calls))
    assert calls == [[0]]
    assert rows == [{"value": 0}, {"value": 10}, {"value": 0}]


def test_what_was_computed_before_a_failure_is_kept(tmp_path):
    def failing(missing):
        yield missing[0], {"value": "first"}
        raise RuntimeError

    with pytest.raises(RuntimeError):
        RowStore(tmp_path).through(["a", "b"], failing)
    assert RowStore(tmp_path).rows == {"a": {"value": "first"}}


def test_rows_are_on_disk_after_half_a_minute(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 20))
    monkeypatch.setattr(store.time, "monotonic", lambda: next(clock))
    kept = RowStore(tmp_path)
    kept.put("a", {})
    assert not list(tmp_path.iterdir())
    kept.put("b", {})
    assert set(RowStore(tmp_path).rows) == {"a", "b"}


@pytest.mark.parametrize("damage", ["cut short", "other columns", "temporary"])
def test_a_damaged_part_is_left_out_and_the_others_kept(tmp_path, damage, capsys):
    RowStore(tmp_path).through(["a"], computing([]))
    [part] = tmp_path.glob("*.parquet")
    RowStore(tmp_path).through(["b"], computing([]))
    if damage == "cut short":
        part.write_bytes(part.read_bytes()[:-20])
    elif damage == "other columns":
        parquet.write(store.pl.DataFrame({"key": ["a"]}), part, store.pl.Schema({"key": store.pl.String}))
    else:
        part.rename(tmp_path / f".{part.name}.tmp.parquet")
    assert set(RowStore(tmp_path).rows) == {"b"}
    assert (str(part) in capsys.readouterr().err) == (damage != "temporary")


@pytest.mark.parametrize(
    "change",
    [{"arm": "b"}, {"token_ids": [1, 3]}, {"task": {"do": "answer", "n_options": 3}}, {"engine": "2"}],
    ids=lambda change: next(iter(change)),
)
def test_each_field_of_the_key_counts(change):
    assert row_key(**KEY) != row_key(**KEY | change)


def test_each_field_of_an_arm_counts():
    base = arms.fingerprint({"weights_sha256": "m"}, None, "nf4", "bfloat16")
    others = {
        arms.fingerprint({"weights_sha256": "n"}, None, "nf4", "bfloat16"),
        arms.fingerprint({"weights_sha256": "m"}, {"weights_sha256": "x", "settings": {"alpha": 1}}, "nf4", "bfloat16"),
        arms.fingerprint({"weights_sha256": "m"}, {"weights_sha256": "y", "settings": {"alpha": 1}}, "nf4", "bfloat16"),
        arms.fingerprint({"weights_sha256": "m"}, {"weights_sha256": "x", "settings": {"alpha": 2}}, "nf4", "bfloat16"),
        arms.fingerprint({"weights_sha256": "m"}, None, "none", "bfloat16"),
        arms.fingerprint({"weights_sha256": "m"}, None, "nf4", "float32"),
    }
    assert len(others | {base}) == 7
