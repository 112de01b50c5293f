"""Which arms read the chains of which others."""

import pytest

from faithtune.core.errors import UserError
from faithtune.study import config
from faithtune.study.generalisation import crossing


@pytest.fixture
def raw(raw):
    raw["tunings"] = {"r8": {"train_sets": ["sums"], "seeds": [1, 2]}, "r16": {"train_sets": ["sums"], "seeds": [1]}}
    return raw | {"crossing": True}


def met(full) -> list[str]:
    return [f"{one.reader} < {one.writer}" for one in crossing.crossings(full) if one.eval_set == "sums"]


def test_by_default_nobody_reads_the_chains_of_others(raw):
    assert crossing.crossings(config.load(raw | {"crossing": False})) == []
    del raw["crossing"]
    assert crossing.crossings(config.load(raw)) == []


def test_base_and_each_tuned_arm_read_each_other(raw):
    tuned = ["r8-sums-1", "r8-sums-2", "r16-sums-1"]
    assert met(config.load(raw)) == [*(f"base < {arm}" for arm in tuned), *(f"{arm} < base" for arm in tuned)]


def test_all_arms_read_each_other_where_their_seeds_are_the_same(raw):
    found = met(config.load(raw | {"crossing": {"arms": "all"}}))
    assert set(found) - set(met(config.load(raw))) == {"r8-sums-1 < r16-sums-1", "r16-sums-1 < r8-sums-1"}
    pairs = crossing.pairs(config.load(raw | {"crossing": {"arms": "all"}}))
    assert [(one["against"], one["arm"]) for one in pairs if "base" not in one.values()] == [
        ("r8-sums-1", "r16-sums-1")
    ]


def test_checkpoints_take_no_part(raw):
    raw["tunings"]["r8"]["checkpoints"] = [1, 2]
    assert not any("@" in name for name in met(config.load(raw)))


def test_sets_can_be_chosen(raw):
    full = config.load(raw | {"crossing": {"eval_sets": ["siqa"]}})
    assert {one.eval_set for one in crossing.crossings(full)} == {"siqa"}
    with pytest.raises(UserError, match=r"config: crossing.eval_sets names 'sum'; expected one of "):
        config.load(raw | {"crossing": {"eval_sets": ["sum"]}})


def test_two_arms_have_one_order_in_all_seeds(raw):
    """As labels stand in the tables, whichever seed of them comes first."""
    behaviours = {name: {} for name in ("base", "a-x-1", "b-x-2", "a-x-2", "b-x-1")}
    raw["models"], raw["tunings"] = {"o": {"oracle": behaviours}}, {}
    found = crossing.pairs(config.load(raw | {"crossing": {"arms": "all"}}))
    assert {(one["against"], one["arm"]) for one in found if one["against"] != "base"} == {
        ("a-x-1", "b-x-1"),
        ("a-x-2", "b-x-2"),
    }


def test_crossing_without_two_arms_is_refused(raw):
    raw["tunings"] = {}
    with pytest.raises(UserError, match=r"config: crossing: no model has two arms that can be asked"):
        config.load(raw)
