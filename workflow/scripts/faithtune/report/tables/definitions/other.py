"""What stands beside the main tables: published numbers, claims, extraction, Lanham's tests, spend."""

from faithtune.report.tables import rows as table_rows
from faithtune.report.tables import sources
from faithtune.report.tables.definitions.table import TableDef
from faithtune.report.tables.layouts import other as layouts

_CLAIMS = (
    "Estimate: C1, change of accuracy, tuned minus base; C2, change of faithfulness; C3, change of faithfulness by"
    " tuning on reasoning sets minus the change by tuning on others; C4, size of the change of faithfulness of the"
    " largest model minus that of the smallest; C5, change of accuracy on reasoning sets minus the change on others."
    " C6 and C7, where the study looks inside arms: C6, change of the share of answers that change where the chain is"
    " hidden from them; C7, rank correlation of the change of weights with the size of the change of faithfulness, over"
    " arms and sets, with an interval that counts arms. Every other number is a mean change, paired by question, over"
    " tests, then tuned arms (in C1, C2, C4 and C6 those that measures.headline names, if it does), then evaluation"
    " sets. Not supported: the whole interval is on the other side of 0; not testable (n/a): the note says what the"
    " study lacks. As published: with the chains that α keeps whole, which match by themselves. p: two-sided, not"
    " corrected. n: questions, each counted once; of C7 pairs of an arm and a set."
)
TABLES = {
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
    "claims": TableDef(
        "Claims of the paper",
        "The paper's claims on this study: C3 and C7 hold above 0, the others below. Supported: the whole interval is"
        " on the claim's side of 0; inconclusive: it contains 0, and mde is the effect that 80 % power would find.",
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
