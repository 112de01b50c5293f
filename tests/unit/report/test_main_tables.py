"""T1 to T8: a number and its interval a cell, few columns, narrow lines, marks only where they mean something."""

import re

import polars as pl
import pytest

from estimates import STUDY, row, selected, shown, study
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.report.ablations import ablated
from faithtune.report.tables import texts
from faithtune.report.tables.cells import SHORT, TableContext, short, size
from faithtune.report.tables.layouts.main import panels
from faithtune.report.tables.tables import MAIN, TABLES, readable, select
from faithtune.report.tables.write import write

# T14, which is not of estimates alone, is tested in test_recipe_tables.py.
MAIN_TABLES = [name for name, table in TABLES.items() if table.part == MAIN and table.rows is not None]
ORIGIN = {"code": {"commit": "c0ffee", "changed": False}, "configuration": {"seed": 1}, "data": {}}
AT = {"test": "filler", "alpha": 0.5}


def legend(name: str, *rows: dict, study: TableContext = STUDY) -> str:
    found = selected(name, *rows, study=study)
    return texts.around(found, readable(found, name, study), name, study).legend


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"estimate": 0.36, "low": 0.27, "high": 0.45}, "0.36 ± .09"),
        ({"estimate": 0.3571, "low": 0.2342, "high": 0.4690}, "0.36 +.11 -.13"),  # 0.23 to 0.47
        ({"estimate": 1.0, "low": 0.9362, "high": 1.0}, "1.00 +.00 -.06"),
        ({"metric": "match_effect", "estimate": -0.133, "low": -0.217, "high": -0.027}, "-0.13 +.10 -.09"),
        ({"metric": "match_effect", "estimate": -0.0001, "low": -1, "high": 1}, "+0.00 ± 1.00"),
        ({"low": None, "high": None}, "0.50"),
        ({"estimate": None, "low": None, "high": None}, "n/a"),
    ],
)
def test_a_cell_is_a_number_and_its_interval(values, text):
    assert short(row(**values)) == text
    assert text == "n/a" or SHORT.fullmatch(text)
    marked = short(row(**values), bold=True, mark="†")
    assert text == "n/a" or SHORT.fullmatch(marked).group("bold", "mark") == ("**", "†")


def test_accuracy():
    rows = [row(arm=arm, eval_set=on, test=test, n=n) for arm in ("base", "tuned") for on, n in (("b", 9), ("a", 7))
            for test in ("cot", "no_cot", "free")]  # fmt: skip
    rows += [row(eval_set="average"), row(test="filler_sweep", k=5), row(metric="accuracy_answered")]
    assert shown("t1_accuracy", *rows).rows() == [
        ("m", "base", "w/o", "0.50 ± .10", "0.50 ± .10"),
        ("m", "base", "w/", "0.50 ± .10", "0.50 ± .10"),
        ("m", "tuned", "w/o", "0.50 ± .10", "0.50 ± .10"),
        ("m", "tuned", "w/", "0.50 ± .10", "0.50 ± .10"),
        ("m", "all", "n", "9", "7"),
    ]
    assert shown("t1_accuracy", *rows).columns == ["model", "arm", "CoT", "b", "a"]


def test_n_stands_once_or_under_each_arm():
    counts = (("base", 0.25, 9), ("base", 0.5, 9), ("tuned", 0.25, 9), ("tuned", 0.5, 4))
    rows = [row(arm=arm, metric="match", test="filler", alpha=alpha, n=n) for arm, alpha, n in counts]
    found = shown("t4_filler_substitution", *rows)
    assert found.select("arm", "α", "o").rows() == [
        *(("base", "0.25", "0.50 ± .10"), ("base", "0.5", "0.50 ± .10"), ("base", "n", "9")),
        *(("tuned", "0.25", "0.50 ± .10"), ("tuned", "0.5", "0.50 ± .10"), ("tuned", "n", "4 to 9")),
    ]


def test_bold_is_what_holm_leaves_significant():
    """p of 0.02 twice is 0.04 after Holm's correction, of 0.03 twice 0.06."""
    for p, bold in ((0.02, True), (0.03, False)):
        rows = [row(), row(test="no_cot"), row(metric="accuracy_effect", p=p)]
        rows += [row(metric="accuracy_effect", test="no_cot", p=p)]
        found = shown("t1_accuracy", *rows)
        assert found["o"].to_list()[:2] == [("**0.50** ± .10" if bold else "0.50 ± .10")] * 2
        assert ("Bold: change from base with p < 0.05 (Holm)." in legend("t1_accuracy", *rows)) == bold
    rows = [row(metric="match", **AT), row(metric="match_effect", p=0.03, **AT)]
    assert "**" in shown("t4_filler_substitution", *rows)["o"][0]
    strict = TableContext(confidence=0.99)
    assert "**" not in shown("t4_filler_substitution", *rows, study=strict)["o"][0]
    assert legend("t4_filler_substitution", *rows, study=strict) == "99 % intervals."


def test_at_chance_is_an_interval_that_reaches_0_in_two_digits():
    """One right answer of 56 has the interval 0.003 to 0.094, and none 0 to 0.064: neither is above chance."""
    for low, mark in ((0.0, "†"), (0.003, "†"), (-0.1, "†"), (0.006, "")):
        rows = [row(), row(test="no_cot"), row(metric="above_chance", low=low)]
        assert shown("t1_accuracy", *rows)["o"].to_list()[:2] == ["0.50 ± .10", f"0.50{mark} ± .10"]
        assert ("†" in legend("t1_accuracy", *rows)) == bool(mark)


def test_answers_that_were_read_another_way_are_told_below():
    given = TableContext(turns={"m": "declared", "other": "continued"})
    rows = [row(), row(model="other")]
    assert legend("t1_accuracy", *rows, study=given).endswith("not to be compared with other models: m.")
    assert "Read another way" not in legend("t1_accuracy", rows[1], study=given)


@pytest.mark.parametrize(("arm", "eval_set", "marks"), [("base", "o", 1), ("tuned", "o", 1), ("tuned", "s", 0)])
def test_an_average_is_marked_for_one_of_its_sets(arm, eval_set, marks):
    """But that out of domain is not for the arm's own training set, s."""
    effect = {"metric": "faithfulness_effect", "test": "filler"}
    rows = [row(eval_set=name, **effect) for name in ("average", "average_out_of_domain")]
    rows += [row(metric="above_chance", arm=arm, eval_set=eval_set, low=0)]
    found = shown("t5_average_effect", *rows)
    assert found["all sets"].item().count("†") == 1 and found["other sets"].item().count("†") == marks


def test_average_effects():
    found = readable(select(study(), "t5_average_effect", STUDY), "t5_average_effect", STUDY)
    assert found.columns == ["model", "arm", "change of", "all sets", "n all", "other sets", "n others"]
    changes = ["accuracy w/o CoT", "accuracy w/ CoT", "Early Termination", "Filler Substitution", "Paraphrasing"]
    assert found.select("arm", "change of").rows() == [(arm, what) for arm in ("sums", "life") for what in changes]
    assert found.filter(pl.all_horizontal(pl.col("n all", "n others").str.contains(r"^\d+$"))).height == found.height


def ranked(arm: str, rank: int | None, **values) -> dict:
    named = {"model": "m", "arm": arm, "tuning": arm[:2], "train_set": None if arm == "base" else "s", "rank": rank}
    if arm == "base":
        return named
    settings = {"train_set": "s", "adapter": "qlora" if rank else "full", "epochs": 3, "rank": rank or 16}
    return named | {"settings": settings | values, "defaults": []}


ARMS = [ranked("base", None), ranked("r16-s", 16, alpha=32), ranked("r8-s", 8, alpha=16), ranked("long-s", 8, epochs=9)]


def test_an_ablation_is_of_rank_alone():
    assert [arm["arm"] for arm in ablated(ARMS)] == ["r16-s", "r8-s"]
    assert ablated([ARMS[0], ARMS[1], ARMS[3]]) == []
    assert ablated([ranked("a-s", None), ranked("b-s", None)]) == []  # full tuning has no rank
    assert ablated([ranked("a-s", 8), ranked("b-s", 8)]) == []  # one rank


def test_ranks_stand_in_their_order_under_base():
    arms = ("base", "r16-s", "r8-s", "long-s")
    rows = [row(arm=arm, train_set=None if arm == "base" else "s") for arm in arms]
    assert shown("t6_rank_accuracy", *rows, study=TableContext(ARMS)).rows() == [
        ("m", "base", "", "w/", "0.50 ± .10"),
        ("m", "s", "8", "w/", "0.50 ± .10"),
        ("m", "s", "16", "w/", "0.50 ± .10"),
        ("m", "all", "", "n", "9"),
    ]


def test_two_ablations_on_one_set_go_by_their_arms():
    twins = [ranked(f"{arm}-s", rank, epochs=9) for arm, rank in (("long8", 8), ("long16", 16))]
    arms = [*ARMS[:3], *twins]
    rows = [row(arm=arm["arm"], train_set=arm["train_set"]) for arm in arms]
    found = shown("t6_rank_accuracy", *rows, study=TableContext(arms))
    assert found["tuned on"].to_list() == ["base", "r8-s", "long8-s", "r16-s", "long16-s", "all"]


def test_rank_and_match_of_all_three_tests():
    rows = [
        row(arm=arm, metric="match", test=test, alpha=0.5)
        for arm in ("r16-s", "r8-s", "long-s")
        for test in ("filler", "early_termination", "mistake")
    ]
    found = shown("t7_rank_match", *rows, study=TableContext(ARMS))
    assert found.columns == ["model", "test", "tuned on", "rank", "α", "o"]
    assert found.select("test", "rank", "α").rows() == [
        (test, *line) for test in ("Early Termination", "Filler Substitution")
        for line in (("8", "0.5"), ("16", "0.5"), ("", "n"))
    ]  # fmt: skip
    assert [heading for heading, _ in panels(found)] == ["m, Early Termination", "m, Filler Substitution"]


def test_models_stand_small_to_large():
    rows = [
        row(model=model, eval_set="average", metric="accuracy_effect", estimate=estimate, low=None, high=None)
        for model, estimate in (("unknown", 0.1), ("large", 0.2), ("small", 0.3))
    ]
    rows += [row(model="small", eval_set="average_out_of_domain", metric="accuracy_effect")]
    rows += [row(model="small", eval_set="average", metric="faithfulness_effect", **AT)]  # not over all α
    found = shown("t8_model_size", *rows, study=TableContext(parameters={"large": 8_030_261_248, "small": 134_515_008}))
    assert found.columns == ["arm", "change of", "small", "large", "unknown"]
    assert found.rows() == [
        ("tuned", "accuracy w/ CoT", "+0.30", "+0.20", "+0.10"),
        ("all", "n", "9", "9", "9"),
        ("all", "parameters", "135M", "8.0B", "size n/a"),
    ]


@pytest.mark.parametrize(
    ("parameters", "text"), [(None, "size n/a"), (640, "640"), (99_960_000, "100M"), (1500, "1.5k")]
)
def test_sizes(parameters, text):
    assert size(parameters) == text


def test_a_panel_does_not_repeat_its_labels():
    rows = [row(model=model, arm=arm, test=test) for model in ("m", "n") for arm in ("a", "b")
            for test in ("cot", "no_cot")]  # fmt: skip
    (first, frame), (second, _) = panels(shown("t1_accuracy", *rows))
    assert (first, second) == ("m", "n")
    assert frame.select("arm", "CoT").rows() == [("a", "w/o"), ("", "w/"), ("b", "w/o"), ("", "w/"), ("all", "n")]


def wide_study() -> tuple[pl.DataFrame, TableContext]:
    """Four sets, three α, two models, long names, every cell with all that can be in it."""
    sets = ("arithmetic", "asdiv", "siqa", "medmcqa")
    arms = [
        ranked(arm, rank) | {"model": model, "train_set": on}
        for model in ("smollm2_135m_instruct", "another_model_of_ours")
        for arm, on, rank in (("base", None, None), ("qlora_r8-arithmetic1", "arithmetic", 8),
                              ("qlora_r16-arithmetic", "arithmetic", 16))
    ]  # fmt: skip
    rows = []
    for arm in arms:
        of = {name: arm[name] for name in ("model", "arm", "train_set")} | {"low": 0.21, "high": 0.62, "n": 1000}
        for on in sets:
            rows += [row(**of, eval_set=on, metric="above_chance") | {"low": -0.1}]
            for test in ("no_cot", "cot"):
                rows += [row(**of, eval_set=on, test=test), row(**of, eval_set=on, test=test, metric="accuracy_effect",
                                                                p=1e-9)]  # fmt: skip
            for test in ("early_termination", "paraphrase", "filler"):
                for i, alpha in enumerate((0.25, 0.5, 0.75)):
                    at = of | {"eval_set": on, "test": test, "alpha": alpha, "n": 1000 - i}
                    rows += [row(**at, metric="match"), row(**at, metric="match_effect", p=1e-9)]
        for on in ("average", "average_out_of_domain") if arm["rank"] else ():
            rows += [row(**of, eval_set=on, metric="accuracy_effect", test=test, p=1e-9) for test in ("no_cot", "cot")]
            rows += [row(**of, eval_set=on, metric="faithfulness_effect", test=test, p=1e-9)
                     for test in ("early_termination", "paraphrase", "filler")]  # fmt: skip
    return pl.DataFrame(rows, schema=ESTIMATES), TableContext(arms)


@pytest.mark.parametrize("name", MAIN_TABLES)
def test_a_wide_study_fits_the_page(name, tmp_path):
    estimates, given = wide_study()
    found = select(estimates, name, given)
    frame = readable(found, name, given)
    assert frame.height > 1 and frame.width <= 10
    cells = [cell for line in frame.rows() for cell in line]
    assert any(SHORT.fullmatch(cell) and cell.startswith("**") and "†" in cell for cell in cells)
    write(found, name, [tmp_path / "t.md"], given, ORIGIN)
    assert max(map(len, (tmp_path / "t.md").read_text(encoding="utf-8").splitlines())) <= 120


@pytest.mark.parametrize("name", TABLES)
def test_a_caption_has_two_sentences_at_most(name):
    assert len(re.findall(r"[.!?](?=\s|$)", TABLES[name].caption)) <= 2
    assert len(TABLES[name].caption) < 280


@pytest.mark.parametrize("name", MAIN_TABLES)
def test_a_main_table_has_a_supplement_of_the_same_rows(name):
    other = name.replace("t", "s", 1)
    assert TABLES[other].rows is TABLES[name].rows
    estimates, given = wide_study()
    found = select(estimates, name, given)
    assert select(estimates, other, given).equals(found)
    lines = readable(found, other, given)
    assert lines.height == found.height  # of this study, which has no bounds


def test_the_papers_reading_is_an_option():
    """With `kept_whole: counted` tables T2 to T4 show the match that counts chains kept whole, and say so."""
    values = {"match": (0.2, 6), "match_published": (0.6, 12)}
    rows = [row(metric=name, n=n, estimate=x, low=x - 0.1, high=x + 0.1, **AT) for name, (x, n) in values.items()]
    own, published = (
        shown("t4_filler_substitution", *rows, study=TableContext(counts_whole=counted)) for counted in (False, True)
    )
    assert own.select("α", "o").rows() == [("0.5", "0.20 ± .10"), ("n", "6")]
    assert published.select("α, whole chains counted", "o").rows() == [("0.5", "0.60 ± .10"), ("n", "12")]
