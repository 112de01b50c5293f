"""The tables, each defined once: what it is made from, which rows it takes, how it lays them out.

A new table is an entry of TABLES, with its own `rows` and `layouts` if none fits; the rules, the report and the files
follow from it. A main table (T1 to T8, T14) has a supplement (S1 to S8, S14) of the same rows, made by `_supplement`.
`sources` has what tables are made from, `texts` what stands around them, `write` their files.
"""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from faithtune.core.errors import UserError
from faithtune.measures.metrics.registry import METRICS
from faithtune.report.tables import holm, layouts, main_layouts, recipes, sources
from faithtune.report.tables import rows as table_rows
from faithtune.report.tables.cells import TITLES, TableContext
from faithtune.report.tables.sources import Source

# Where the report shows a table: main and other tables after the claims, the rest folded at the end.
MAIN, OTHER, BACKGROUND, SUPPLEMENT = PARTS = ("main", "other", "background", "supplement")


@dataclass(frozen=True)
class TableDef:
    """A table: what it shows and how."""

    title: str
    caption: str  # how to read it, in two sentences at most
    layout: Callable[[pl.DataFrame, TableContext], pl.DataFrame]  # makes text of the rows
    nothing: str  # shown in place of the table where it has no rows
    source: Source = sources.ESTIMATED
    rows: table_rows.Rows | None = None  # selects rows of SELECTION; None: all rows of another source
    metrics: tuple[str, ...] = ()  # the metrics that its notes define
    notes: str = ""  # what else a careful reader wants to know
    named: Callable[[str], str] = str  # how its lines call a metric
    long: bool = False  # more rows than a page holds; otherwise more columns
    part: str = OTHER  # one of PARTS
    supplement: Callable[[pl.DataFrame, TableContext], pl.DataFrame] = layouts.supplement  # of a main table

    @property
    def schema(self) -> pl.Schema:
        return self.source.schema if self.rows is None else holm.SELECTION


def _of_test(number: str, test: str) -> TableDef:
    """The main table of one test: CoT Pred Match at each α."""
    arrow, more = ("↑", "higher") if METRICS["match"].direction_in(test) > 0 else ("↓", "lower")
    return TableDef(
        f"{number} {TITLES[test]}: CoT Pred Match {arrow}",
        f"Share of answers that stay the same when ⌈αN⌉ of a chain's N steps are kept; {arrow}: {more} is more"
        " faithful. n: questions whose chain this changes.",
        main_layouts.matches,
        f"The study does not have the test {TITLES[test]}, or all its chains are imported and cannot be tampered with.",
        rows=table_rows.matches(test),
        metrics=table_rows.MATCH,
        part=MAIN,
    )


def _supplement(main: TableDef) -> TableDef:
    """The supplement of a main table: all estimates of its rows, one a line."""
    number, _, what = main.title.partition(" ")
    return TableDef(
        f"{number.replace('T', 'S')} {what}, all estimates",
        f"Every estimate behind {number}, its controls and its bounds, one a line.",
        main.supplement,
        main.nothing,
        source=main.source,
        rows=main.rows,
        metrics=main.metrics,
        notes=main.notes,
        named=lambda metric: METRICS[metric].title,
        long=True,
        part=SUPPLEMENT,
    )


def with_supplements(defined: dict[str, TableDef]) -> dict[str, TableDef]:
    """The tables, then the supplement of each main one; that of t1_accuracy is s1_accuracy."""
    return defined | {
        name.replace("t", "s", 1): _supplement(table) for name, table in defined.items() if table.part == MAIN
    }


_NO_TUNING = "The study has no tuned arm."
_NO_RANKS = "The study has no arms that differ in rank alone."
_CLAIMS = (
    "Estimate: C1, change of accuracy, tuned minus base; C2, change of faithfulness; C3, change of faithfulness by"
    " tuning on reasoning sets minus the change by tuning on others; C4, size of the change of faithfulness of the"
    " largest model minus that of the smallest; C5, change of accuracy on reasoning sets minus the change on others."
    " Every number is a mean change, paired by question, over tests, then tuned arms (in C1, C2 and C4 those that"
    " measures.headline names, if it does), then evaluation sets. Not supported: the whole interval is on the other"
    " side of 0; not testable (n/a): the note says what the study lacks. As published: with the chains that α keeps"
    " whole, which match by themselves. p: two-sided, not corrected. n: questions, each counted once."
)
TABLES = with_supplements(
    {
        "t1_accuracy": TableDef(
            "T1 Accuracy without and with chain of thought",
            "Share of questions answered correctly without (w/o) and with (w/) the chain; a missing answer is a wrong"
            " one. n: questions.",
            main_layouts.accuracy,
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
            main_layouts.average_effects,
            _NO_TUNING,
            rows=table_rows.average_effects,
            metrics=table_rows.CHANGES,
            part=MAIN,
        ),
        "t6_rank_accuracy": TableDef(
            "T6 Rank ablation: accuracy",
            "Like T1, for the arms that differ in the adapter's rank (and scale) alone, and the base they share.",
            main_layouts.rank_accuracy,
            _NO_RANKS,
            rows=table_rows.rank_accuracy,
            metrics=table_rows.ACCURACY,
            part=MAIN,
        ),
        "t7_rank_match": TableDef(
            "T7 Rank ablation: CoT Pred Match",
            "Like T2 to T4, for the arms that differ in the adapter's rank (and scale) alone, and the base they share.",
            main_layouts.rank_matches,
            _NO_RANKS,
            rows=table_rows.rank_matches,
            metrics=table_rows.MATCH,
            part=MAIN,
        ),
        "t8_model_size": TableDef(
            "T8 Small against large models",
            "Like T5 over all sets, by model, with the number of its parameters.",
            main_layouts.model_sizes,
            "The study does not have two models with a tuned arm.",
            rows=table_rows.model_sizes,
            metrics=table_rows.CHANGES,
            part=MAIN,
        ),
        "t9_diagnostics": TableDef(
            "T9 Diagnostics",
            "What to check before reading the other tables.",
            layouts.arms_across,
            "The study has no chains.",
            rows=table_rows.diagnostic,
            metrics=table_rows.DIAGNOSTIC,
            long=True,
            part=BACKGROUND,
        ),
        "t10_data": TableDef(
            "T10 Data",
            "The questions that the arms were tuned on and measured with.",
            layouts.plain,
            "The study has no data.",
            source=sources.DATA,
            notes="revision: wheel version, hub commit or checksum; for a local file its sha256. licence: where the"
            " reader knows it, else n/a. share: where both splits are cut from one file, the part that this split is"
            " drawn from; n/a: it has its own file. skipped: rows of the file that did not fit and were left out (key"
            " max_bad_rows); n/a: the reader is not table. groups: of questions that share a context. characters: mean"
            " length with context and options. rationales: share with a worked solution. majority: share of the most"
            " common answer. overlap: questions that are also in the other split of any data set.",
            part=BACKGROUND,
        ),
        "t11_hyper_parameters": TableDef(
            "T11 Hyper-parameters",
            "All settings of each tuned arm; ‡ at a parameter: the paper (arXiv 2411.15382) does not state it; ‡ at a"
            " value: the paper states others.",
            layouts.hyper_parameters,
            _NO_TUNING,
            source=sources.HYPER_PARAMETERS,
            notes="Settings without a key of the configuration are included; where seeds differ, every value."
            " starts_from: the arms that were tuned before, from which the arm's model was made; empty: none. The paper"
            " states QLoRA, a 4-bit base and ranks 8, 16 and 32.",
            part=BACKGROUND,
        ),
        "t12_prompts": TableDef(
            "T12 Prompts",
            "The templates that questions are filled into, and the fixed texts; sha256 of the file or the fixed text.",
            layouts.prompts,
            "The study has no prompts.",
            source=sources.PROMPTS,
            part=BACKGROUND,
        ),
        "t13_published": TableDef(
            "T13 Reproduced against published",
            "Numbers that a person transcribed from the paper, beside this study's. inside: the published number is"
            " inside this study's interval; sign agrees: of a change.",
            layouts.published,
            "No published number was transcribed, so there is nothing to compare this study with.",
            source=sources.PUBLISHED,
            notes="The numbers stand in resources/published/published.csv; checked: by a second person. Cells without a"
            " transcribed number are in the Parquet file alone.",
            long=True,
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
        "t15_forgetting": TableDef(
            "T15 Forgetting and transfer",
            "What tunings that follow one another forget and transfer, in accuracy with chain and in faithfulness, on"
            " the sets that they learn. Differences, paired by question; in parentheses: questions.",
            layouts.forgetting,
            "No tuning of the study follows another one that is measured.",
            source=sources.FORGOTTEN,
            notes="docs/tests-and-measures.md (Sequences) has the definitions. Intervals are not corrected.",
        ),
        "claims": TableDef(
            "Claims of the paper",
            "The paper's claims on this study: C3 holds above 0, the others below. Supported: the whole interval is on"
            " the claim's side of 0; inconclusive: it contains 0, and mde is the effect that 80 % power would find.",
            layouts.claims,
            "The study has no model.",
            source=sources.CLAIMS,
            notes=_CLAIMS,
        ),
        "extractors": TableDef(
            "Strict against lenient extraction",
            "The same answers read by the strict extractor, which accepts only a declared answer, and by the lenient"
            " one. A conclusion survives if both intervals are on the same side of 0, or both contain it.",
            layouts.extractors,
            "Nothing in the study was read by both extractors.",
            rows=table_rows.extractors,
            metrics=table_rows.BY_BOTH_EXTRACTORS,
            long=True,
        ),
        "lanham": TableDef(
            "Lanham's tests",
            "The tests of Lanham et al. 2023 (arXiv 2307.13702).",
            layouts.arms_across,
            "The study has none of these tests.",
            rows=table_rows.lanham,
            metrics=table_rows.LANHAM,
            notes="Adding Mistakes and Prefix Paraphrasing: the arm writes the rest of the chain again after the"
            " tampered steps, then answers. Filler Sweep: accuracy with k tokens of filler in place of the chain;"
            " compare it with accuracy without CoT and with the chain.",
            long=True,
        ),
        "spend": TableDef(
            "What hosts were asked",
            "The spend ledger, with totals.",
            layouts.money,
            "No host was asked: all models of the study run here.",
            source=sources.SPENT,
            notes="calls: made or reserved, retries included; unsettled: calls without a response, which the host may"
            " have charged; tokens: of paid calls, as the host counted them; USD n/a: a call has no price. For"
            " paraphrases and mistakes, the arm is the one whose chains were rewritten.",
            long=True,
        ),
    }
)


def table(name: str) -> TableDef:
    """The table of that name; UserError if there is none."""
    if name not in TABLES:
        raise UserError(f"tables: {name!r} is none of {', '.join(TABLES)}")
    return TABLES[name]


def select(source: pl.DataFrame, name: str, study: TableContext) -> pl.DataFrame:
    """The rows of the source that table `name` shows: SELECTION of ESTIMATES, or all rows of another source."""
    chosen = table(name)
    return source if chosen.rows is None else chosen.rows(holm.corrected(source, study.confidence), study)


def readable(rows: pl.DataFrame, name: str, study: TableContext) -> pl.DataFrame:
    """The rows as table `name` lays them out: columns of text; without rows, one line that says so."""
    chosen = table(name)
    laid = chosen.layout(rows, study) if rows.height else pl.DataFrame()
    return laid if laid.height else pl.DataFrame({"": [chosen.nothing]})
