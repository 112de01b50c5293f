"""What each table selects and how it reads."""

from functools import cache

import polars as pl
import pytest

from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.measures.claims import CLAIMS
from faithtune.report.tables import layouts
from faithtune.report.tables.cells import TableContext, size
from faithtune.report.tables.rows import SELECTION, ablated
from faithtune.report.tables.tables import TABLES, caption, readable, select
from frames import answer_rows, answers, arm_of, build, inputs, random_answers

TESTS_SHOWN = {
    "t2_early_termination": "early_termination",
    "t3_paraphrasing": "paraphrase",
    "t4_filler_substitution": "filler",
}
OF_ESTIMATES = [name for name, table in TABLES.items() if table.rows is not None]
STUDY = TableContext()


@cache
def study() -> pl.DataFrame:
    frames = {
        ("m_1", arm, eval_set): random_answers(10 * i + j, groups=15 if j else None)
        for i, arm in enumerate(("base", "sums", "life"))
        for j, eval_set in enumerate(("sums", "blogs"))
    }
    given = inputs(frames, {"base": None})
    given["arms"] += [arm_of("m_1", name, name, ["sums", "blogs"]) for name in ("sums", "life")]
    return build(**given)


def row(**values) -> dict:
    """A row of ESTIMATES of a tuned arm elsewhere, its estimate, interval and n given or plain."""
    known = {"model": "m", "arm": "tuned", "train_set": "s", "eval_set": "o", "test": "cot", "metric": "accuracy"}
    return known | {"estimate": 0.5, "low": 0.4, "high": 0.6, "n": 9} | values


def shown(name: str, *rows: dict, study: TableContext = STUDY) -> pl.DataFrame:
    return readable(select(pl.DataFrame(rows, schema=ESTIMATES), name, study), name, study)


def one_cell(name: str, column: str, *rows: dict) -> str:
    """The last line's cell of a column."""
    return shown(name, *rows)[column].to_list()[-1]


def test_the_tables_of_the_issue():
    assert list(TABLES) == [
        *("t1_accuracy", "t2_early_termination", "t3_paraphrasing", "t4_filler_substitution", "t5_average_effect"),
        *("t6_rank_accuracy", "t7_rank_match", "t8_model_size", "t9_diagnostics", "t10_data", "t11_hyper_parameters"),
        *("t12_prompts", "t13_published", "claims", "extractors", "lanham", "spend"),
    ]
    titles = [table.title.split()[0] for name, table in TABLES.items() if name.startswith("t")]
    assert titles == [f"T{number}" for number in range(1, 14)]


@pytest.mark.parametrize("name", OF_ESTIMATES)
def test_a_selection_is_estimates(name):
    found = select(study(), name, STUDY)
    assert found.schema == SELECTION
    assert found.join(study(), on=ESTIMATES.names(), how="semi", nulls_equal=True).height == found.height
    assert found.is_empty() == (name in ("t6_rank_accuracy", "t7_rank_match", "t8_model_size"))


@pytest.mark.parametrize(("name", "test"), TESTS_SHOWN.items())
def test_the_table_of_a_test_shows_it_and_the_controls(name, test):
    found = select(study(), name, STUDY)
    own = found.filter(pl.col("metric").str.contains("match|faithfulness"), pl.col("metric") != "again_match")
    assert set(own["test"]) == {test}
    assert set(own["alpha"].drop_nulls()) == {0.25, 0.5, 0.75}
    assert {"match", "match_effect", "faithfulness", "match_soft", "match_k0"} <= set(own["metric"])
    assert {"again_match", "cot_lift", "accuracy"} <= set(found["metric"])
    assert set(found.filter(metric="accuracy")["test"]) == {"no_cot"}


def test_the_faithful_direction_is_in_the_title():
    assert [TABLES[name].title[-1] for name in TESTS_SHOWN] == ["↓", "↑", "↓"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"estimate": 0.52, "low": 0.4512, "high": 0.588, "n": 200, "n_unanswered": 3, "n_truncated": 1, "seeds": 1},
         "0.520 [0.451, 0.588] n=200 u=3 t=1 parse 98%"),
        ({"seeds": 3, "n_unanswered": 0}, "0.500 [0.400, 0.600] n=9 s=3 parse 100%"),
        ({"low": None, "high": None}, "0.500 n=9"),
        ({"estimate": None, "low": None, "high": None, "n": 0}, "n/a"),
        ({"metric": "accuracy_effect", "estimate": -0.0001, "p": 0.0421}, "+0.000 [+0.400, +0.600] p=0.042 n=9"),
        ({"metric": "accuracy_effect", "p": 1e-9, "mde": 0.08}, "+0.500 [+0.400, +0.600] p<0.001 n=9"),
        ({"metric": "accuracy_effect", "p": 0.2, "mde": 0.08}, "+0.500 [+0.400, +0.600] p=0.200 mde=0.080 n=9"),
        ({"metric": "accuracy_effect", "mde": 0.08}, "+0.500 [+0.400, +0.600] mde=0.080 n=9"),
        ({"metric": "cot_lift", "p": 0.2, "mde": 0.08}, "+0.500 [+0.400, +0.600] p=0.200 mde=0.080 n=9"),
    ],
)  # fmt: skip
def test_a_cell_holds_all_that_belongs_to_its_number(values, text):
    assert one_cell("t1_accuracy", "o w/ CoT", row(**values)) == text


def test_the_own_training_set_is_marked():
    assert one_cell("t1_accuracy", "s w/ CoT", row(eval_set="s")).startswith("0.500* [")


def test_the_least_level_decides_whether_mde_is_shown():
    effect = pl.DataFrame([row(metric="accuracy_effect", p=0.07, mde=0.08)], schema=ESTIMATES)
    for confidence, there in ((0.95, True), (0.9, False)):
        given = TableContext(confidence=confidence)
        text = readable(select(effect, "t1_accuracy", given), "t1_accuracy", given)["o w/ CoT"].item()
        assert ("mde=" in text) is there


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


def test_holm_over_the_effects_of_the_table():
    """By hand: of p .01 .02 .04, sorted, the k-th of n is the running maximum of (n - k + 1) p."""
    rows = [row(metric="accuracy_effect", eval_set=name, p=p) for name, p in (("a", 0.04), ("b", 0.01), ("c", 0.02))]
    found = select(pl.DataFrame([*rows, row(p=0.5)], schema=ESTIMATES), "t1_accuracy", STUDY)
    assert found["p_holm"].to_list() == pytest.approx([0.04, 0.03, 0.04, None])
    assert found["p"].to_list() == [0.04, 0.01, 0.02, 0.5]


def test_what_another_table_shows_corrects_nothing_here():
    rows = [row(metric="accuracy_effect", p=0.02), row(metric="match_effect", test="filler", alpha=0.5, p=0.03)]
    found = select(pl.DataFrame(rows, schema=ESTIMATES), "t1_accuracy", STUDY)
    assert found["p_holm"].to_list() == [0.02]


def test_a_change_and_its_mirror_are_one_hypothesis_and_bounds_are_none():
    where = {"test": "filler", "alpha": 0.5}
    rows = [row(metric="match_effect", p=0.02, **where), row(metric="faithfulness_effect", p=0.02, **where)]
    rows += [row(metric="match_effect_soft", p=0.04, **where), row(metric="match_effect_least", p=0.001, **where)]
    found = select(pl.DataFrame(rows, schema=ESTIMATES), "t4_filler_substitution", STUDY)
    assert found["p_holm"].to_list() == pytest.approx([0.04, 0.04, 0.04, None])


def test_what_the_chain_lifts_is_an_effect_of_the_family():
    rows = [row(metric="accuracy_effect", p=0.02), row(metric="cot_lift", p=0.03)]
    rows += [row(metric="accuracy_effect_most", p=0.001), row(metric="accuracy_effect_least", p=0.001)]
    found = select(pl.DataFrame(rows, schema=ESTIMATES), "t1_accuracy", STUDY)
    assert found["p_holm"].to_list() == pytest.approx([0.04, 0.04, None, None])


def test_accuracy_has_its_parse_rate_and_bounds():
    """Of 20 answers 3 unanswered and 1 cut: 0.5 if they were wrong, 0.7 if they were right."""
    counts = {"n": 20, "n_unanswered": 3, "n_truncated": 1}
    rows = [
        row(**counts),
        row(metric="accuracy_if_unanswered_wrong"),
        row(metric="accuracy_if_unanswered_right", estimate=0.7),
        row(metric="accuracy_effect", estimate=-0.1, low=-0.2, high=0.1, **counts),
        row(metric="accuracy_effect_least", estimate=-0.3),
        row(metric="accuracy_effect_most", estimate=0.05),
    ]
    assert shown("t1_accuracy", *rows)["o w/ CoT"].to_list() == [
        "0.500 [0.400, 0.600] n=20 u=3 t=1 parse 80% (0.500 to 0.700)",
        "-0.100 [-0.200, +0.100] n=20 u=3 t=1 (-0.300 to +0.050)",
    ]


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


def test_accuracy_lies_arms_down_and_sets_across():
    found = readable(select(study(), "t1_accuracy", STUDY), "t1_accuracy", STUDY)
    sets = ("sums", "blogs", "average")
    tests = ("w/o CoT", "w/ CoT", "free text")
    assert found.columns == ["model", "arm", "metric", *(f"{name} {test}" for name in sets for test in tests)]
    lines = ("accuracy", "accuracy, answered", "change from base", "w/ CoT minus w/o", "above chance")
    expected = [(arm, line) for arm in ("base", "sums", "life") for line in lines]
    expected.remove(("base", "change from base"))
    assert found.select("arm", "metric").rows() == expected
    marked = {
        (arm, column) for arm in ("base", "sums", "life") for column in found.columns[3:]
        if any("*" in cell for cell in found.filter(arm=arm)[column])
    }  # fmt: skip
    assert marked == {("sums", f"sums {test}") for test in tests}


def test_a_cell_at_chance_is_marked():
    rows = [
        row(arm="base", train_set=None, eval_set="a"),
        row(arm="base", train_set=None, eval_set="a", test="no_cot"),
        row(arm="base", train_set=None, eval_set="a", metric="above_chance", estimate=0.1, low=0.0, high=0.2),
        row(eval_set="a"),
        row(eval_set="a", metric="accuracy_effect"),
        row(eval_set="a", metric="above_chance", estimate=0.1, low=0.01, high=0.2),
        row(eval_set="b"),
    ]
    found = shown("t1_accuracy", *rows)
    assert found.select("arm", "metric", "a w/o CoT", "a w/ CoT").rows() == [
        ("base", "accuracy", "0.500 [0.400, 0.600] n=9", "0.500† [0.400, 0.600] n=9"),
        ("base", "above chance", "", "+0.100 [+0.000, +0.200] n=9"),
        ("tuned", "accuracy", "", "0.500 [0.400, 0.600] n=9"),
        ("tuned", "change from base", "", "+0.500† [+0.400, +0.600] n=9"),  # base is at chance
        ("tuned", "above chance", "", "+0.100 [+0.010, +0.200] n=9"),
    ]
    assert "†" in caption(select(pl.DataFrame(rows, schema=ESTIMATES), "t1_accuracy", STUDY), "t1_accuracy", STUDY)


@pytest.mark.parametrize("turn", ["declared", "retold"])
def test_answers_that_are_not_forced_after_the_open_turn_are_marked(turn):
    given = TableContext(turns={"m": turn, "other": "continued"})
    rows = [row(), row(test="no_cot"), row(test="free"), row(model="other")]
    found = shown("t1_accuracy", *rows, study=given)
    assert found.select("model", "o w/o CoT", "o w/ CoT", "o free text").rows() == [
        ("m", "0.500 [0.400, 0.600] n=9", "0.500‡ [0.400, 0.600] n=9", "0.500 [0.400, 0.600] n=9"),
        ("other", "", "0.500 [0.400, 0.600] n=9", ""),
    ]
    matched = shown("t4_filler_substitution", row(metric="match", test="filler", alpha=0.5), study=given)
    assert matched["o α=0.5"].item() == "0.500‡ [0.400, 0.600] n=9"
    selection = select(pl.DataFrame(rows, schema=ESTIMATES), "t1_accuracy", given)
    assert "‡ the answer was not forced" in caption(selection, "t1_accuracy", given)
    assert "‡" not in caption(selection.filter(model="other"), "t1_accuracy", given)


def test_the_table_of_a_test_word_for_word():
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
        row(metric="match_effect_same_length", estimate=-0.1, n=7, **bounds, **at),
        row(metric="match_leak_free", n=11, **bounds, **at),
        row(metric="change_floored", n=11, **bounds, **at),
        row(metric="match_soft", n=20, **bounds, **at),
        row(metric="match_k0", test="filler", n=20, **bounds),
        row(metric="again_match", test=None, estimate=0.99, n=8, **bounds),
        row(metric="accuracy", test="no_cot", n=20, **bounds),
        row(metric="accuracy", test="cot", n=20, **bounds),
        row(metric="above_chance", estimate=0.1, low=-0.1, high=0.2),
        row(metric="shuffle_match", test="no_cot", n=5, **bounds),
        row(metric="match", test="paraphrase", alpha=0.5),
    ]
    found = shown("t4_filler_substitution", *rows)
    assert found.columns == ["model", "arm", "metric", "o α=0.5", "o all α"]
    assert found.select(found.columns[2:]).rows() == [
        ("match", "0.750† [0.600, 0.900] n=20 u=4 parse 80% (0.600 to 0.800)", ""),
        ("match, leak-free", "0.500† n=11", ""),
        ("match, soft", "0.500† n=20", ""),
        ("match, k=0", "", "0.500† n=20"),
        ("match, asked again", "", "0.990† n=8"),
        ("changed, above floor", "0.500† n=11", ""),
        (
            "change from base",
            "-0.100† [-0.200, +0.100] p=0.300 mde=0.250 n=18 u=2 (-0.200 to +0.050)",
            "-0.300† [-0.400, -0.200] p=0.002 n=9",
        ),
        ("change, same length", "-0.100† n=7", ""),
        ("accuracy w/o CoT", "", "0.500 n=20"),
        ("accuracy w/ CoT above chance", "", "+0.100 [-0.100, +0.200] n=9"),
        ("match, options shuffled", "", "0.500† n=5"),
    ]


def test_columns_stand_by_set_and_alpha():
    rows = [
        row(metric="match", test="filler", alpha=alpha, eval_set=name) for name in ("b", "a") for alpha in (0.75, 0.25)
    ]
    rows += [row(metric="match_k0", test="filler", eval_set=name) for name in ("b", "a")]
    assert shown("t4_filler_substitution", *rows).columns[3:] == [
        *("b α=0.25", "b α=0.75", "b all α", "a α=0.25", "a α=0.75", "a all α")
    ]


def test_a_match_has_its_parse_rate_and_bounds():
    silent = answers(*(answer_rows(f"q{i}", filler=["A", None if i < 2 else "A", "A"]) for i in range(10)))
    found = build(**inputs({("m", "base", "s"): silent}, {"base": None}))
    cell = readable(select(found, "t4_filler_substitution", STUDY), "t4_filler_substitution", STUDY)["s α=0.5"][0]
    assert cell.startswith("1.000 [") and cell.endswith("] n=10 u=2 parse 80% (0.800 to 1.000)")


def test_a_null_estimate_is_never_a_guess():
    nothing = build(**inputs({("m", "base", "s"): answers(answer_rows("q", n=0))}, {"base": None}))
    found = readable(select(nothing, "t2_early_termination", STUDY), "t2_early_termination", STUDY)
    assert found.filter(metric="match").select(pl.col("^s α.*$")).row(0) == ("n/a",) * 3


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
    ],
)
def test_a_table_without_rows_says_so_in_one_line(name, line):
    assert shown(name, row(arm="base", train_set=None)).rows() == [(line,)]
    selection = select(pl.DataFrame([row(arm="base", train_set=None)], schema=ESTIMATES), name, STUDY)
    assert caption(selection, name, STUDY) == ""  # which would tell of cells that are not there


def test_average_effects_lie_by_arm():
    found = readable(select(study(), "t5_average_effect", STUDY), "t5_average_effect", STUDY)
    assert found.columns[-2:] == ["average", "out-of-domain average"]
    assert found["arm"].unique(maintain_order=True).to_list() == ["sums", "life"]
    assert found.filter(arm="sums", test="Paraphrasing")["α"].to_list() == ["0.25", "0.5", "0.75", "all"] * 2
    assert set(found["change of"]) == {"faithfulness", "match", "accuracy"}


def ranked(arm: str, rank: int | None, **values) -> dict:
    train_set = None if arm == "base" else "s"
    tuned = {"method": "qlora", "epochs": 3, "targets": ["q"]} if rank else {}
    return {"model": "m", "arm": arm, "tuning": arm[:2], "train_set": train_set, "rank": rank, **tuned} | values


ARMS = [ranked("base", None), ranked("r16-s", 16, alpha=32), ranked("r8-s", 8, alpha=16), ranked("long-s", 8, epochs=9)]


def test_an_ablation_is_of_rank_alone():
    assert [arm["arm"] for arm in ablated(ARMS)] == ["r16-s", "r8-s"]
    assert ablated([ARMS[0], ARMS[1], ARMS[3]]) == []
    assert ablated([ranked("a-s", 8, method="full"), ranked("b-s", 16, method="full")]) == []
    assert ablated([ranked("a-s", 8), ranked("b-s", 8, seed=2)]) == []  # one rank
    assert len(ablated([ranked("a-s", 8, seeds=[1]), ranked("b-s", 16, seeds=[1, 2])])) == 2


def test_ranks_stand_in_their_order_under_base():
    arms = ("base", "r16-s", "r8-s", "long-s")
    rows = [row(arm=arm, train_set=None if arm == "base" else "s") for arm in arms]
    rows += [row(arm=arm, metric="accuracy_effect", p=0.01) for arm in arms[1:]]
    assert shown("t6_rank_accuracy", *rows, study=TableContext(ARMS)).rows() == [
        ("m", "", "", "base", "accuracy", "0.500 [0.400, 0.600] n=9"),
        ("m", "s", "8", "r8-s", "accuracy", "0.500 [0.400, 0.600] n=9"),
        ("m", "s", "8", "r8-s", "change from base", "+0.500 [+0.400, +0.600] p=0.020 n=9"),  # of two, not three
        ("m", "s", "16", "r16-s", "accuracy", "0.500 [0.400, 0.600] n=9"),
        ("m", "s", "16", "r16-s", "change from base", "+0.500 [+0.400, +0.600] p=0.020 n=9"),
    ]


def test_rank_and_match_of_all_three_tests():
    rows = [
        row(arm=arm, metric="match", test=test, alpha=0.5, n_unanswered=0)
        for arm in ("r16-s", "r8-s", "long-s")
        for test in ("early_termination", "filler", "mistake")
    ]
    chance = row(arm="r8-s", metric="above_chance", low=-0.1)
    assert "†" in shown("t7_rank_match", *rows, chance, study=TableContext(ARMS))["o α=0.5"][0]
    found = shown("t7_rank_match", *rows, study=TableContext(ARMS))
    assert found.columns == ["model", "train set", "rank", "arm", "test", "metric", "o α=0.5"]
    assert found.select("rank", "test").rows() == [
        ("8", "Early Termination"),
        ("8", "Filler Substitution"),
        ("16", "Early Termination"),
        ("16", "Filler Substitution"),
    ]


@pytest.mark.parametrize(
    ("name", "metric", "values"),
    [
        ("t5_average_effect", "match_effect", {"eval_set": "average", "test": "filler"}),
        ("t8_model_size", "faithfulness_effect", {"eval_set": "average", "test": "filler"}),
        ("t9_diagnostics", "match_k0", {"test": "filler"}),
        ("t9_diagnostics", "alpha_star", {"test": "filler"}),
        ("lanham", "aoc", {"test": "filler"}),
        ("lanham", "match_effect", {"test": "mistake", "alpha": 0.5}),
        ("extractors", "match_effect", {"test": "filler", "alpha": 0.5}),
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


def test_an_average_out_of_domain_is_not_marked_for_the_own_set():
    rows = [row(metric="match_effect", test="filler", eval_set=name) for name in ("average", "average_out_of_domain")]
    rows += [row(metric="above_chance", eval_set="s", low=0)]
    cells = shown("t5_average_effect", *rows).row(0)[-2:]
    assert ["†" in cell for cell in cells] == [True, False]


def test_models_stand_small_to_large():
    rows = [
        row(model=model, eval_set="average", metric="accuracy_effect", estimate=estimate, test="cot")
        for model, estimate in (("unknown", 0.1), ("large", 0.2), ("small", 0.3))
    ]
    rows += [row(model="small", eval_set="average_out_of_domain", metric="accuracy_effect")]
    rows += [row(model="small", eval_set="average", metric="match_effect", test="filler", alpha=0.5)]
    found = shown("t8_model_size", *rows, study=TableContext(parameters={"large": 8_030_261_248, "small": 134_515_008}))
    assert found.columns == [*("arm", "change of", "test", "α", "small (135M)", "large (8.0B)", "unknown (size n/a)")]
    assert [cell.split()[0] for cell in found.row(0)[4:]] == ["+0.300", "+0.200", "+0.100"]
    assert found.height == 1


@pytest.mark.parametrize(
    ("parameters", "text"), [(None, "size n/a"), (640, "640"), (99_960_000, "100M"), (1500, "1.5k")]
)
def test_sizes(parameters, text):
    assert size(parameters) == text


def test_diagnostics_lie_with_the_arms_across():
    found = readable(select(study(), "t9_diagnostics", STUDY), "t9_diagnostics", STUDY)
    assert found.columns == ["model", "evaluation set", "metric", "test", "α", "base", "sums", "life"]
    assert (found.select("base", "sums", "life") != "").to_numpy().all()


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
