"""The tables: what each shows, and how.

Most are selections of ESTIMATES, long, one estimate a row; the others have schemas of their own
(setup, published, claims, summary). `write` writes them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import polars as pl

from faithtune.core.errors import UserError
from faithtune.hosts.spend import summary
from faithtune.interventions.registry import direction
from faithtune.measures import claims
from faithtune.report.tables import cells, layouts, published, setup
from faithtune.report.tables import rows as table_rows
from faithtune.report.tables.cells import TITLES, TableContext, is_effect


@dataclass(frozen=True)
class Table:
    """A table: the rows it takes of what it is made from (`source`), and the layout that makes text of them."""

    title: str
    caption: str
    layout: Callable[[pl.DataFrame, TableContext], pl.DataFrame]
    nothing: str  # said where the study has no row for it
    source: str = "estimates"  # or claims | data | hyper_parameters | prompts | published | spend
    rows: table_rows.Rows | None = None  # of ESTIMATES those it shows; None: all of another source
    schema: pl.Schema = field(default_factory=lambda: table_rows.SELECTION)
    long: bool = False  # more rows than a page holds; else more columns


def _of_test(number: str, test: str) -> Table:
    """The table of one test: CoT Pred Match at each α, and the controls without which it cannot be read."""
    arrow, more = ("↑", "higher") if direction(test) > 0 else ("↓", "lower")
    return Table(
        f"{number} {TITLES[test]}: CoT Pred Match {arrow}",
        f"Share of answers that equal the arm's own full-chain answer when ⌈αN⌉ of the N steps are kept; {arrow}:"
        f" {more} is more faithful. Of n questions with a chain, u and t have no answer after the tampering and are"
        " left out of the share. Change from base: the same questions, paired; u and t are of either arm. Controls:"
        " leak-free, only where no kept step names the answer; soft, by the probability of the own answer; k=0, no"
        " step kept; asked again, the whole chain in other batches, what is missing to 1 is rounding; above floor,"
        " share of changed answers beyond that under paraphrase, of the questions answered after both; same length,"
        " chains of one length in both arms; options shuffled, without chain.",
        layouts.matches,
        f"The study has no test {TITLES[test]}, or all chains are imported, which nobody tampers with.",
        rows=table_rows.matches(test),
    )


_NO_TUNING = "The study has no tuned arm."
_NO_RANKS = "The study has no arms that differ in rank alone."
TABLES = {
    "t1_accuracy": Table(
        "T1 Accuracy without and with chain of thought",
        "Share of all questions answered correctly; u and t count as not correct. answered: of the questions that were."
        " Changes are paired on the same questions; u and t are then of either arm. above chance: minus"
        " 1 / options. free text: the answer that the chain itself declares. average: unweighted, over the sets.",
        layouts.accuracy,
        "The study has no answers.",
        rows=table_rows.accuracy,
    ),
    "t2_early_termination": _of_test("T2", "early_termination"),
    "t3_paraphrasing": _of_test("T3", "paraphrase"),
    "t4_filler_substitution": _of_test("T4", "filler"),
    "t5_average_effect": Table(
        "T5 Average change by tuning",
        "Tuned minus base on the same questions, then the unweighted mean over the evaluation sets: all of them, or"
        " all but the arm's own training set. A positive change of faithfulness is one to more faithful chains.",
        layouts.average_effects,
        _NO_TUNING,
        rows=table_rows.average_effects,
        long=True,
    ),
    "t6_rank_accuracy": Table(
        "T6 Rank ablation: accuracy",
        "As T1, for the arms that differ in the adapter's rank (and scale) alone, beside the base they share.",
        layouts.rank_accuracy,
        _NO_RANKS,
        rows=table_rows.rank_accuracy,
    ),
    "t7_rank_match": Table(
        "T7 Rank ablation: CoT Pred Match",
        "As T2 to T4, for the arms that differ in the adapter's rank (and scale) alone, beside the base they share;"
        " the other controls stand there.",
        layouts.rank_matches,
        _NO_RANKS,
        rows=table_rows.rank_matches,
    ),
    "t8_model_size": Table(
        "T8 Small against large models",
        "Tuned minus base, the unweighted mean over the evaluation sets; matches over all α. In parentheses the"
        " number of parameters.",
        layouts.model_sizes,
        "The study has not two models with a tuned arm.",
        rows=table_rows.model_sizes,
    ),
    "t9_diagnostics": Table(
        "T9 Diagnostics",
        "chain_answered, chain_unanswered, chain_truncated: shares of the chains, by what their free text declares;"
        " chain_refused, chain_ambiguous: of them unanswered as the text declines, or declares several; chain_empty,"
        " chain_single: without a step, of one. chain_missing: questions of which an imported arm has no chain."
        " kept_whole: chains that α keeps whole. steps_copied: steps that stand word for word in the prompt's"
        " example. n_steps, n_tokens: means. free_agreement: the free text declares the answer forced after it."
        " option_mass: mean probability of all option letters together. parse_rate: answered of all with an"
        " intervention. match_k0: match with no step kept. again_match: full-chain answers that stay when asked"
        " again in other batches; again_shift: mean change of their probability: the noise floor. chance: 1 /"
        " options. above_chance: accuracy with chain minus chance. shuffle_match: answers without chain that stay"
        " when the options are shuffled; disguised: answers that no chain changes, disguised_normalised: over"
        " shuffle_match. alpha_star: least kept fraction from which a question's answer no longer changes, mean and"
        " median; u and t: questions of which it hangs on an answer that is missing. aoc: area over the curve of"
        " match, of a chain of L steps 1 - 1/(2L) where no prefix of it leads to the answer; u and t: chains that"
        " lack one at some k. paraphrase_pass: steps with a usable paraphrase; mistake_pass: with a mistake,"
        " mistake_by_rule: of these those that no model made. unavailable: questions without one at α.",
        layouts.arms_across,
        "The study has no chains.",
        rows=table_rows.diagnostic,
        long=True,
    ),
    "t10_data": Table(
        "T10 Data",
        "revision: wheel version, hub commit or checksum, of a local file its sha256. licence: of a source that"
        " the reader knows, n/a for others. share: where one file is cut in two, one part to be trained on and the"
        " rest to be asked about, how much of it this split is drawn from; n/a: it has a file of its own. groups: of"
        " questions that share a context. characters: mean length with context and options. rationales: share with a"
        " worked solution. majority: share of the commonest answer. overlap: questions that also stand in the other"
        " split of any data set.",
        layouts.plain,
        "The study has no data.",
        source="data",
        schema=setup.DATA,
    ),
    "t11_hyper_parameters": Table(
        "T11 Hyper-parameters",
        "All settings of each tuned arm, those that no key decides too; of several seeds each value. ‡: not stated by"
        " the paper (arXiv 2411.15382), which gives QLoRA, a 4-bit base and ranks 8, 16 and 32: this study's choice;"
        " at a value, not one of these.",
        layouts.hyper_parameters,
        _NO_TUNING,
        source="hyper_parameters",
        schema=setup.HYPER_PARAMETERS,
    ),
    "t12_prompts": Table(
        "T12 Prompts",
        "The templates that questions are filled into, and the fixed texts; sha256 of the file, or of the fixed text.",
        layouts.prompts,
        "The study has no prompts.",
        source="prompts",
        schema=setup.PROMPTS,
    ),
    "t13_published": Table(
        "T13 Reproduced against published",
        "published: what a person transcribed into resources/published/published.csv, checked: by a second person."
        " Cells that nobody transcribed stand in the Parquet file alone. inside: the published number lies in our"
        " interval; sign agrees: of a change.",
        layouts.published,
        "No published number was transcribed, so there is nothing to hold this study's against.",
        source="published",
        schema=published.COMPARISON,
        long=True,
    ),
    "claims": Table(
        "Claims of the paper",
        "Estimate: of C1 the change of accuracy, tuned minus base, of C2 that of faithfulness; of C3 the change of"
        " faithfulness by tuning on reasoning sets minus that by tuning on others; of C4 the size of the change of"
        " faithfulness of the largest model minus that of the smallest; of C5 the change of accuracy on reasoning sets"
        " minus that on others. C3 holds above 0, the others below. Supported: the interval lies wholly on the claim's"
        " side of 0; not supported: wholly on the other; inconclusive: it contains 0, mde is the number that 80 %"
        " power would find; not testable (n/a): the study lacks what the note names. p: two-sided, not corrected. n:"
        " questions, each once. Each is a mean change, paired at question level, over tests, then tuned arms (those of"
        " measures.headline, where the study names some), then sets.",
        layouts.claims,
        "The study has no model.",
        source="claims",
        schema=claims.CLAIMS,
    ),
    "extractors": Table(
        "Strict against lenient extraction",
        "The same answers read by the strict extractor, which takes only a declared answer, and by the lenient one."
        " A conclusion survives where both intervals lie on one side of 0, or both contain it.",
        layouts.extractors,
        "The study has nothing that was read by both extractors.",
        rows=table_rows.extractors,
        long=True,
    ),
    "lanham": Table(
        "Lanham's tests",
        "The tests of Lanham et al. 2023 (arXiv 2307.13702). aoc: area over the curve of the same answer against"
        " the kept fraction; u and t: chains that lack an answer at some k. match: the same answer after a mistake"
        " was added, or the first steps were put in other words, and the rest was written anew; match_k0: nothing"
        " kept. accuracy of the filler sweep: k tokens of filler in place of the chain, to be held against accuracy"
        " without CoT and with the chain.",
        layouts.arms_across,
        "The study has none of these tests.",
        rows=table_rows.lanham,
        long=True,
    ),
    "spend": Table(
        "What hosts were asked",
        "The spend ledger. calls: made or reserved, attempts that were repeated among them; unsettled: of them, those"
        " that no answer came to, which the host may have charged; tokens: of those paid, as the host counted them;"
        " USD n/a: a call without a price. Of paraphrases and mistakes the arm is the one whose chains were rewritten.",
        layouts.money,
        "No host was asked: all models of the study are here.",
        source="spend",
        schema=summary.SUMMARY,
        long=True,
    ),
}


def table(name: str) -> Table:
    """The table of that name; UserError where there is none."""
    if name not in TABLES:
        raise UserError(f"tables: {name!r} is none of {', '.join(TABLES)}")
    return TABLES[name]


def select(source: pl.DataFrame, name: str, study: TableContext) -> pl.DataFrame:
    """The rows that table `name` shows of its source: SELECTION of ESTIMATES, or the source's own."""
    chosen = table(name)
    return source if chosen.rows is None else table_rows.with_holm(chosen.rows(source, study))


def readable(rows: pl.DataFrame, name: str, study: TableContext) -> pl.DataFrame:
    """The rows as table `name` lays them out: columns of text; one line saying so where there is no row."""
    chosen = table(name)
    laid = chosen.layout(rows, study) if rows.height else pl.DataFrame()
    return laid if laid.height else pl.DataFrame({"": [chosen.nothing]})


def caption(rows: pl.DataFrame, name: str, study: TableContext) -> str:
    """The caption of a table of these rows, with what is needed to read its cells; none where there is no row."""
    chosen = table(name)
    if rows.is_empty():
        return ""
    parts = [chosen.caption]
    if chosen.source == "estimates":
        parts += [cells.READING.format(confidence=100 * study.confidence)]
        if any(map(is_effect, rows["metric"].unique())):
            parts += [cells.EFFECTS.format(level=1 - study.confidence)]
        parts += [cells.AT_CHANCE]
        if study.apart.intersection(rows["model"]):
            parts += [cells.APART]
    return " ".join(parts)
