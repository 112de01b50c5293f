"""Which effects are corrected together, and that an effect has one corrected p in all tables."""

import polars as pl
import pytest

from estimates import STUDY, row, study
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.report.tables.holm import SELECTION, corrected
from faithtune.report.tables.tables import TABLES, select

AT = {"test": "filler", "alpha": 0.5}


def holm(*rows: dict) -> list[float | None]:
    found = corrected(pl.DataFrame(rows, schema=ESTIMATES), 0.95)
    assert found.schema == SELECTION and found.height == len(rows)
    return found["p_holm"].to_list()


def test_by_hand():
    """Of p .01 .02 .04, sorted, the k-th of n is the running maximum of (n - k + 1) p."""
    rows = [row(metric="accuracy_effect", eval_set=name, p=p) for name, p in (("a", 0.04), ("b", 0.01), ("c", 0.02))]
    assert holm(*rows, row(p=0.5)) == pytest.approx([0.04, 0.03, 0.04, None])


def test_accuracy_and_match_on_sets_and_averaged_are_families_of_their_own():
    rows = [row(metric="accuracy_effect", p=0.02), row(metric="match_effect", p=0.03, **AT)]
    rows += [row(metric="accuracy_effect", p=0.02, eval_set="average")]
    rows += [row(metric="match_effect", p=0.03, test="filler", eval_set="average")]
    assert holm(*rows) == [0.02, 0.03, 0.02, 0.03]
    assert holm(*rows, rows[0] | {"test": "no_cot"}) == [0.04, 0.03, 0.02, 0.03, 0.04]


def test_a_change_and_its_mirror_are_one_hypothesis():
    rows = [row(metric=metric, p=0.02, **AT) for metric in ("faithfulness_effect", "match_effect")]
    assert holm(*rows) == [0.02, 0.02]
    assert holm(*rows, rows[0] | {"arm": "other", "p": 0.04}) == [0.04, 0.04, 0.04]


@pytest.mark.parametrize(
    "check",
    [
        {"metric": "match_effect_soft"} | AT,
        {"metric": "match_effect_least"} | AT,
        {"metric": "cot_lift"},
        {"metric": "accuracy_effect", "test": "free"},
        {"metric": "match_effect", "test": "filler"},  # over all α, on one set
        {"metric": "match_effect", "eval_set": "average"} | AT,
    ],
)
def test_a_check_of_an_effect_is_none_of_the_family(check):
    effects = [row(metric="match_effect", p=0.02, **AT), row(metric="accuracy_effect", p=0.02)]
    assert holm(*effects, row(p=0.001, **check)) == [0.02, 0.02, None]


def test_an_effect_has_the_same_p_in_every_table():
    where = [*ESTIMATES.names()]
    tables = [name for name, table in TABLES.items() if table.rows is not None]
    found = pl.concat([select(study(), name, STUDY) for name in tables]).drop_nulls("p_holm")
    assert found.height > 100
    assert found.unique([*where, "p_holm"]).height == found.unique(where).height


def test_what_a_study_finds_is_corrected_like_p():
    """Alone an effect needs (1.96 + 0.84) standard errors, one of ten (2.81 + 0.84)."""
    effects = [row(metric="accuracy_effect", eval_set=f"s{i}", p=0.5, mde=0.28) for i in range(10)]
    alone = corrected(pl.DataFrame(effects[:1], schema=ESTIMATES), 0.95)
    assert alone["mde_holm"].to_list() == [pytest.approx(0.28)]
    found = corrected(pl.DataFrame([*effects, row(p=0.5, mde=0.28)], schema=ESTIMATES), 0.95)
    assert found["mde_holm"].to_list()[0] == pytest.approx(0.28 * (2.807 + 0.842) / (1.960 + 0.842), abs=1e-4)
    assert found["mde_holm"].to_list()[-1] is None
