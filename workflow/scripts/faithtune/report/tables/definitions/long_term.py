"""T15 on: what stays of a tuning over time, on other questions, in other forms and for other readers."""

from faithtune.report.tables import sources
from faithtune.report.tables.definitions.table import TableDef
from faithtune.report.tables.layouts import long_term as layouts

TABLES = {
    "t15_forgetting": TableDef(
        "T15 Forgetting and transfer",
        "What tunings that follow one another forget and transfer, in accuracy with chain and in faithfulness, on"
        " the sets that they learn. Differences, paired by question; in parentheses: questions.",
        layouts.forgetting,
        "No tuning of the study follows another one that is measured.",
        source=sources.FORGOTTEN,
        notes="docs/tests-and-measures.md (Sequences) has the definitions. Intervals are not corrected.",
    ),
}
