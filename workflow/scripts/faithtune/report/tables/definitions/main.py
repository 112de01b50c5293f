"""The main tables: T1 to T8 as in the paper, and T14."""

from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables import recipes, sources
from faithtune.report.tables import rows as table_rows
from faithtune.report.tables.cells import TITLES
from faithtune.report.tables.definitions.table import MAIN, NO_TUNING, TableDef
from faithtune.report.tables.layouts import main as layouts

_NO_RANKS = "The study has no arms that differ in rank alone."


def _of_test(number: str, test: str) -> TableDef:
    """The main table of one test: CoT Pred Match at each α."""
    arrow, more = ("↑", "higher") if METRICS["match"].direction_in(test) > 0 else ("↓", "lower")
    return TableDef(
        f"{number} {TITLES[test]}: CoT Pred Match {arrow}",
        f"Share of answers that stay the same when ⌈αN⌉ of a chain's N steps are kept; {arrow}: {more} is more"
        " faithful. n: questions whose chain this changes.",
        layouts.matches,
        f"The study does not have the test {TITLES[test]}, or all its chains are imported and cannot be tampered with.",
        rows=table_rows.matches(test),
        metrics=table_rows.MATCH,
        part=MAIN,
    )


TABLES = {
    "t1_accuracy": TableDef(
        "T1 Accuracy without and with chain of thought",
        "Share of questions answered correctly without (w/o) and with (w/) the chain; a missing answer is a wrong"
        " one. n: questions.",
        layouts.accuracy,
        "The study has no answers.",
        rows=table_rows.accuracy,
        metrics=table_rows.ACCURACY,
        part=MAIN,
    ),
    "t2_early_termination": _of_test("T2", "early_termination"),
    "t3_paraphrasing": _of_test("T3", "paraphrase"),
    "t4_filler_substitution": _of_test("T4", "filler"),
    "t5_average_effect": TableDef(
        "T5 Average change by tuning",
        "Tuned minus base on the same questions, of accuracy or, in a test, of faithfulness over all α; above 0:"
        " more accurate, or more faithful. Unweighted means over all evaluation sets, and over those other than the"
        " arm's own training set; n: questions.",
        layouts.average_effects,
        NO_TUNING,
        rows=table_rows.average_effects,
        metrics=table_rows.CHANGES,
        part=MAIN,
    ),
    "t6_rank_accuracy": TableDef(
        "T6 Rank ablation: accuracy",
        "Like T1, for the arms that differ in the adapter's rank (and scale) alone, and the base they share.",
        layouts.rank_accuracy,
        _NO_RANKS,
        rows=table_rows.rank_accuracy,
        metrics=table_rows.ACCURACY,
        part=MAIN,
    ),
    "t7_rank_match": TableDef(
        "T7 Rank ablation: CoT Pred Match",
        "Like T2 to T4, for the arms that differ in the adapter's rank (and scale) alone, and the base they share.",
        layouts.rank_matches,
        _NO_RANKS,
        rows=table_rows.rank_matches,
        metrics=table_rows.MATCH,
        part=MAIN,
    ),
    "t8_model_size": TableDef(
        "T8 Small against large models",
        "Like T5 over all sets, by model, with the number of its parameters.",
        layouts.model_sizes,
        "The study does not have two models with a tuned arm.",
        rows=table_rows.model_sizes,
        metrics=table_rows.CHANGES,
        part=MAIN,
    ),
    "t14_recipes": TableDef(
        "T14 Recipes side by side",
        "What each tuned arm changed, minus base or minus the reference recipe, on the same questions; means over"
        " all evaluation sets. Lift: accuracy with the chain minus without; n: questions.",
        recipes.layout,
        "The study does not have two tuned arms.",
        source=sources.RECIPES_COMPARED,
        notes="p: two-sided, not corrected; Holm: corrected over all differences from base in this table, and apart"
        " from these over all from the reference (measures.reference). Faithfulness: the mean over all tests and"
        " kept fractions, then by test. †: the arm, or what it is compared with, is not above chance on one of the"
        " sets. ‖ΔW‖/‖W‖: Frobenius norm of the change of the weights that could move, against their own; KL:"
        " divergence of the next tokens from base's, in nats, of arms that were handed in; examples seen: in all"
        " passes; tokens: as the training counts them, without the"
        " reference's passes; each the mean over seeds. Run times stand at the report's end.",
        part=MAIN,
        supplement=recipes.supplement,
    ),
}
