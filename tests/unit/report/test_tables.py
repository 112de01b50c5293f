"""What each table selects and how it reads."""

import polars as pl
import pytest

from estimates import STUDY, row, selected, shown, study
from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.measures.claims import CLAIMS
from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables import texts
from faithtune.report.tables.cells import TableContext
from faithtune.report.tables.holm import SELECTION
from faithtune.report.tables.layouts import other as layouts
from faithtune.report.tables.rows import COMMITMENT
from faithtune.report.tables.tables import PARTS, SUPPLEMENT, TABLES, readable, select
from frames import answer_rows, answers, build, inputs

TESTS_SHOWN = {
    "t2_early_termination": "early_termination",
    "t3_paraphrasing": "paraphrase",
    "t4_filler_substitution": "filler",
}
OF_ESTIMATES = [name for name, table in TABLES.items() if table.rows is not None]


def one_cell(*rows: dict, study: TableContext = STUDY) -> str:
    """The last cell of the arms that stand across, in a table whose cells hold everything."""
    return shown("lanham", *rows, study=study)["tuned"].to_list()[-1]


def mistaken(**values) -> dict:
    """A row of ESTIMATES that the table `lanham` shows."""
    return row(**{"test": "mistake", "metric": "match", "alpha": 0.5} | values)


def test_the_tables_of_the_issue():
    assert list(TABLES) == [
        *("t1_accuracy", "t2_early_termination", "t3_paraphrasing", "t4_filler_substitution", "t5_average_effect"),
        *("t6_rank_accuracy", "t7_rank_match", "t8_model_size", "t9_diagnostics", "t10_data", "t11_hyper_parameters"),
        *("t12_prompts", "t13_published", "t14_recipes", "t15_forgetting", "t16_generalisation", "t17_shifts"),
        *("t18_crossing", "claims", "extractors", "lanham", "spend"),
        *("s1_accuracy", "s2_early_termination", "s3_paraphrasing", "s4_filler_substitution", "s5_average_effect"),
        *("s6_rank_accuracy", "s7_rank_match", "s8_model_size", "s14_recipes"),
    ]
    assert {table.part for table in TABLES.values()} == set(PARTS)
    titles = [table.title.split()[0] for name, table in TABLES.items() if name.startswith("t")]
    assert titles == [f"T{number}" for number in range(1, 19)]
    titles = [table.title.split()[0] for table in TABLES.values() if table.part == SUPPLEMENT]
    assert titles == [f"S{number}" for number in (*range(1, 9), 14)]


@pytest.mark.parametrize("name", OF_ESTIMATES)
def test_a_selection_is_estimates(name):
    found = select(study(), name, STUDY)
    assert found.schema == SELECTION
    assert found.join(study(), on=ESTIMATES.names(), how="semi", nulls_equal=True).height == found.height
    assert found.is_empty() == name.endswith(("6_rank_accuracy", "7_rank_match", "8_model_size"))


@pytest.mark.parametrize(("name", "test"), TESTS_SHOWN.items())
def test_the_table_of_a_test_shows_it_and_the_controls(name, test):
    found = select(study(), name, STUDY)
    own = found.filter(
        pl.col("metric").str.contains("match|faithfulness"),
        pl.col("metric") != "again_match",
        pl.col("test") != "no_cot",
    )
    assert set(own["test"]) == {test}
    assert set(own["alpha"].drop_nulls()) == {0.25, 0.5, 0.75}
    assert {"match", "match_effect", "faithfulness", "match_soft", "match_k0"} <= set(own["metric"])
    assert {"again_match", "cot_lift", "accuracy"} <= set(found["metric"])
    assert set(found.filter(metric="accuracy")["test"]) == {"no_cot"}


def test_the_faithful_direction_is_in_the_title():
    assert [TABLES[name].title[-1] for name in TESTS_SHOWN] == ["↓", "↑", "↓"]


def test_claims_show_beside_an_inconclusive_verdict_what_would_have_been_found():
    known = {"statement": "It falls", "estimate": -0.02, "low": -0.1, "high": 0.06, "p": 0.2, "n": 9}
    rows = [
        {"claim": "C1", "verdict": "inconclusive", "mde": 0.1144} | known,
        {"claim": "C2", "verdict": "supported", "note": "why"} | known | {"high": -0.01, "p": 1e-4},
        {"claim": "C4", "verdict": "not testable", "n": 0},
    ]
    found = readable(pl.DataFrame(rows, schema=CLAIMS), "claims", STUDY)
    assert found["verdict"].to_list() == ["inconclusive (mde 0.114)", "supported", "not testable"]
    assert found["p"].to_list() == ["0.200", "<0.001", "n/a"]
    assert found["estimate"].to_list() == ["-0.020", "-0.020", "n/a"]
    assert found["note"].to_list() == ["", "why", ""]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"estimate": 0.52, "low": 0.4512, "high": 0.588, "n": 200, "n_unanswered": 3, "n_truncated": 1, "seeds": 1},
         "0.520 [0.451, 0.588] n=200 u=3 t=1 parse 98%"),
        ({"seeds": 3, "n_unanswered": 0}, "0.500 [0.400, 0.600] n=9 s=3 parse 100%"),
        ({"low": None, "high": None}, "0.500 n=9"),
        ({"estimate": None, "low": None, "high": None, "n": 0}, "n/a"),
        ({"eval_set": "s"}, "0.500* [0.400, 0.600] n=9"),
        ({"eval_set": "s", "train_set": "r+s"}, "0.500* [0.400, 0.600] n=9"),
        ({"eval_set": "s", "train_set": "mix (r+s)"}, "0.500* [0.400, 0.600] n=9"),
        ({"eval_set": "mix", "train_set": "mix (r+s)"}, "0.500 [0.400, 0.600] n=9"),
        ({"metric": "match_effect", "estimate": -0.0001, "p": 0.0421},
         "+0.000 [+0.400, +0.600] p=0.042 Holm 0.042 n=9"),
        ({"metric": "match_effect", "p": 1e-9, "mde": 0.08}, "+0.500 [+0.400, +0.600] p<0.001 Holm <0.001 n=9"),
        ({"metric": "match_effect", "p": 0.2, "mde": 0.08},
         "+0.500 [+0.400, +0.600] p=0.200 Holm 0.200 mde=0.080 n=9"),
        ({"metric": "match_effect", "mde": 0.08}, "+0.500 [+0.400, +0.600] mde=0.080 n=9"),
    ],
)  # fmt: skip
def test_a_cell_holds_all_that_belongs_to_its_number(values, text):
    assert one_cell(mistaken(**values)) == text


def test_the_level_decides_whether_mde_is_shown():
    effect = mistaken(metric="match_effect", p=0.07, mde=0.08)
    for confidence, there in ((0.95, True), (0.9, False)):
        assert ("mde=" in one_cell(effect, study=TableContext(confidence=confidence))) is there


def test_a_supplement_word_for_word():
    at = {"test": "filler", "alpha": 0.5}
    bounds = {"low": None, "high": None}
    rows = [
        row(metric="match", estimate=0.75, low=0.6, high=0.9, n=20, n_unanswered=4, **at),
        row(metric="match_if_unanswered_match", estimate=0.8, **at),
        row(metric="match_if_unanswered_differ", estimate=0.6, **at),
        row(metric="match_effect", estimate=-0.1, low=-0.2, high=0.1, p=0.3, mde=0.25, n=18, n_unanswered=2, **at),
        row(metric="match_effect_least", estimate=-0.2, **at),
        row(metric="match_effect_most", estimate=0.05, **at),
        row(metric="match_effect", test="filler", estimate=-0.3, low=-0.4, high=-0.2, p=0.001, mde=0.2),
        row(metric="match_published", n=22, **bounds, **at),
        row(metric="match_effect_same_length", estimate=-0.1, n=7, **bounds, **at),
        row(metric="change_floored", n=11, high=1.0, **at | {"low": 0.4}),
        row(metric="match_k0", test="filler", n=20, **bounds),
        row(metric="again_match", test=None, estimate=0.99, n=8, **bounds),
        row(metric="accuracy", test="no_cot", n=20, **bounds),
        row(metric="accuracy", test="cot", n=20, **bounds),
        row(metric="above_chance", estimate=0.1, low=-0.1, high=0.2),
        row(metric="match", test="paraphrase", alpha=0.5),
    ]
    found = shown("s4_filler_substitution", *rows)
    assert found.columns == [
        *("model", "arm", "set", "test", "α", "metric", "estimate", "interval", "bounds", "p", "p (Holm)", "mde", "n"),
        *("unanswered", "parsed"),
    ]
    filler, none = ("Filler Substitution", "0.5"), ("", "", "", "")
    assert found.select(found.columns[3:]).rows() == [
        ("w/o CoT", "", "accuracy", "0.500", "", *none, "20", "", ""),
        ("w/ CoT", "", "accuracy w/ CoT above chance", "+0.100", "[-0.100, +0.200]", *none, "9", "", ""),
        (*filler, "match", "0.750†", "[0.600, 0.900]", "0.600 to 0.800", "", "", "", "20", "4", "80%"),
        (*filler, "match as published", "0.500†", "", *none, "22", "", ""),
        (*filler, "changed, above floor", "0.500†", "[0.400, 1.000]", *none, "11", "", ""),
        (*filler, "change of match", "-0.100†", "[-0.200, +0.100]", "-0.200 to +0.050", "0.300", "0.300", "0.250", "18",
         "2", ""),
        (*filler, "change of match, same length", "-0.100†", "", *none, "7", "", ""),
        ("Filler Substitution", "", "match, k=0", "0.500†", "", *none, "20", "", ""),
        ("Filler Substitution", "", "change of match", "-0.300†", "[-0.400, -0.200]", "", "0.001", "", "0.200", "9", "",
         ""),
        ("", "", "match, asked again", "0.990†", "", *none, "8", "", ""),
    ]  # fmt: skip


@pytest.mark.parametrize("name", [name for name in OF_ESTIMATES if TABLES[name].part == SUPPLEMENT])
def test_a_supplement_has_a_line_for_each_estimate(name):
    """All of the Parquet file but the bounds, which stand beside what they bound."""
    found = select(study(), name, STUDY)
    lines = readable(found, name, STUDY)
    ends = [metric for metric in found["metric"].unique() if metric in layouts.ENDS]
    assert lines.height == max(1, found.filter(~pl.col("metric").is_in(ends)).height)


def test_what_was_cut_alone_has_bounds_too():
    at = {"test": "mistake", "alpha": 0.5}
    rows = [
        row(metric="match", n=20, n_unanswered=0, n_truncated=5, **at),
        row(metric="match_if_unanswered_match", estimate=0.6, **at),
        row(metric="match_if_unanswered_differ", estimate=0.35, **at),
    ]
    assert shown("lanham", *rows)["tuned"].to_list() == [
        "0.500 [0.400, 0.600] n=20 t=5 parse 75% (0.350 to 0.600)",
    ]


def test_a_null_estimate_is_never_a_guess():
    nothing = build(**inputs({("m", "base", "s"): answers(answer_rows("q", n=0))}, {"base": None}))
    found = readable(select(nothing, "t2_early_termination", STUDY), "t2_early_termination", STUDY)
    assert found["s"].to_list() == ["n/a", "n/a", "n/a", "0"]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        (
            "t2_early_termination",
            "The study does not have the test Early Termination, or all its chains are imported and cannot be tampered"
            " with.",
        ),
        ("t5_average_effect", "The study has no tuned arm."),
        ("t6_rank_accuracy", "The study has no arms that differ in rank alone."),
        ("t7_rank_match", "The study has no arms that differ in rank alone."),
        ("t8_model_size", "The study does not have two models with a tuned arm."),
        ("lanham", "The study has none of these tests."),
        ("s8_model_size", "The study does not have two models with a tuned arm."),
    ],
)
def test_a_table_without_rows_says_so_in_one_line(name, line):
    assert shown(name, row(arm="base", train_set=None)).rows() == [(line,)]
    selection = select(pl.DataFrame([row(arm="base", train_set=None)], schema=ESTIMATES), name, STUDY)
    assert texts.around(selection, readable(selection, name, STUDY), name, STUDY) == texts.Texts()


@pytest.mark.parametrize("turn", ["declared", "retold"])
def test_answers_that_are_not_forced_after_the_open_turn_are_marked(turn):
    given = TableContext(turns={"m": turn, "other": "continued"})
    rows = [mistaken(), mistaken(model="other"), row(), row(test="no_cot")]
    found = shown("lanham", *rows, study=given)
    assert found.select("model", "test", "tuned").rows() == [
        ("m", "Adding Mistakes", "0.500‡ [0.400, 0.600] n=9"),
        ("other", "Adding Mistakes", "0.500 [0.400, 0.600] n=9"),
        ("m", "w/ CoT", "0.500‡ [0.400, 0.600] n=9"),
        ("m", "w/o CoT", "0.500 [0.400, 0.600] n=9"),
    ]
    for turns, told in ((given, True), (STUDY, False)):
        selection = selected("lanham", *rows, study=turns)
        notes = texts.around(selection, readable(selection, "lanham", turns), "lanham", turns).notes
        assert any(note.startswith("‡: the answer was not forced") for note in notes) == told


@pytest.mark.parametrize(
    ("name", "metric", "values"),
    [
        ("t9_diagnostics", "match_k0", {"test": "filler"}),
        ("t9_diagnostics", "alpha_star", {"test": "filler"}),
        ("lanham", "aoc", {"test": "filler"}),
        ("lanham", "match_effect", {"test": "mistake", "alpha": 0.5}),
        ("extractors", "match_effect", {"test": "filler", "alpha": 0.5}),
        ("s5_average_effect", "match_effect", {"test": "filler", "eval_set": "average"}),
    ],
)
def test_what_is_at_chance_is_marked_in_every_table(name, metric, values):
    """Base is at chance on o, the arm's own set s is not measured: of an average, on one of its sets."""
    rows = [row(model=model, metric=metric, **values) for model in ("m", "m_2")]
    rows += [row(model="m", metric=f"{metric}_lenient", **values)] if name == "extractors" else []
    arm = "base" if metric.endswith("_effect") else "tuned"
    at, above = ({"metric": "above_chance", "arm": arm, "low": low, "train_set": None} for low in (0, 0.1))

    def marks(*chances: dict) -> int:
        return str(shown(name, *rows, *chances).rows()).count("†")

    assert marks(row(**above)) == marks(row(model="m_3", **at)) == 0
    assert marks(row(**at)) == (2 if name == "extractors" else 1)


def test_diagnostics_lie_with_the_arms_across():
    found = readable(select(study(), "t9_diagnostics", STUDY), "t9_diagnostics", STUDY)
    assert found.columns == ["model", "evaluation set", "metric", "test", "α", "base", "sums", "life"]
    assert (found.select("sums", "life") != "").to_numpy().all()
    # How far an arm is from base is no property of base, and neither is a change.
    of_tuned = set(found.filter(base="")["metric"])
    effects = {name for name in of_tuned if METRICS[name].is_effect}
    assert of_tuned - effects == {"chains_changed", "answers_changed", "answers_shift"}
    assert effects == {name for name in COMMITMENT if METRICS[name].is_effect} - {"nldd_effect"}  # without mistakes


def test_whether_a_conclusion_survives_the_other_extractor():
    strict = {"a": (-0.3, -0.1), "b": (-0.3, 0.1), "c": (0.1, 0.3), "d": (0.1, 0.3)}
    lenient = {"a": (-0.2, -0.01), "b": (-0.1, 0.4), "c": (-0.1, 0.3)}
    rows = [row(metric="accuracy_effect", eval_set=name, low=low, high=high) for name, (low, high) in strict.items()]
    rows += [
        row(metric="accuracy_effect_lenient", eval_set=name, low=low, high=high)
        for name, (low, high) in lenient.items()
    ]
    rows += [row(metric="accuracy_effect_lenient", eval_set="d", estimate=None, low=None, high=None)]
    rows += [row(metric="accuracy_effect", eval_set="strict alone")]
    rows += [row(eval_set="a"), row(eval_set="a", metric="accuracy_lenient", estimate=0.6, low=0.5, high=0.7)]
    found = shown("extractors", *rows)
    assert found.select("metric", "evaluation set", "lenient", "conclusion survives").rows() == [
        ("accuracy", "a", "0.600 [0.500, 0.700] n=9", ""),
        ("accuracy_effect", "a", "+0.500 [-0.200, -0.010] n=9", "yes"),
        ("accuracy_effect", "b", "+0.500 [-0.100, +0.400] n=9", "yes"),
        ("accuracy_effect", "c", "+0.500 [-0.100, +0.300] n=9", "no"),
        ("accuracy_effect", "d", "n/a", "n/a"),
    ]
    assert shown("extractors", row(), row(metric="accuracy_effect")).rows() == [
        ("Nothing in the study was read by both extractors.",)
    ]


def test_lanhams_tests():
    rows = [
        row(test="early_termination", metric="aoc"),
        row(test="mistake", metric="match", alpha=0.5),
        row(test="filler_sweep", k=5),
        row(test="filler", metric="match", alpha=0.5),
        row(test="mistake", metric="match_k0", n=20, n_unanswered=2, n_truncated=1),
        row(test="filler", metric="match_k0"),
        row(),
        row(test="no_cot"),
        row(test="free"),
        row(eval_set="average"),
        row(metric="above_chance"),
    ]
    assert shown("lanham", *rows).select("metric", "test", "α", "k", "tuned").rows() == [
        ("aoc", "Early Termination", "", "", "0.500 [0.400, 0.600] n=9"),
        ("match", "Adding Mistakes", "0.5", "", "0.500 [0.400, 0.600] n=9"),
        ("accuracy", "Filler Sweep", "", "5", "0.500 [0.400, 0.600] n=9"),
        ("match_k0", "Adding Mistakes", "", "", "0.500 [0.400, 0.600] n=20 u=2 t=1"),
        ("accuracy", "w/ CoT", "", "", "0.500 [0.400, 0.600] n=9"),
        ("accuracy", "w/o CoT", "", "", "0.500 [0.400, 0.600] n=9"),
        ("above_chance", "w/ CoT", "", "", "+0.500 [+0.400, +0.600] n=9"),
    ]


def test_an_unknown_table_is_told():
    with pytest.raises(UserError, match="'t0' is none of t1_accuracy"):
        readable(pl.DataFrame(), "t0", STUDY)


def test_money_that_nobody_knows_is_not_available():
    rows = pl.DataFrame({"model": ["m"], "stage": [None], "calls": [1234], "usd_paid": [None], "usd_reserved": [0.5]})
    laid = layouts.money(rows.cast({"stage": pl.String, "usd_paid": pl.Float64}), None)
    assert laid.row(0) == ("m", "", "1,234", "n/a", "0.5000")
