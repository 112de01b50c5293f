"""T9 to T12: what a study consists of, and what to check before reading its other tables."""

from faithtune.report.tables import rows as table_rows
from faithtune.report.tables import sources
from faithtune.report.tables.definitions.table import BACKGROUND, NO_TUNING, TableDef
from faithtune.report.tables.layouts import other as layouts

TABLES = {
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
        NO_TUNING,
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
}
