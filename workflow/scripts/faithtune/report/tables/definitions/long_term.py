"""T15 to T18: what stays of a tuning over time, on other questions, in other forms and for other readers."""

from faithtune.report.tables import sources
from faithtune.report.tables.definitions.table import TableDef
from faithtune.report.tables.layouts import long_term as layouts

TABLES = {
    "t15_forgetting": TableDef(
        "T15 Forgetting and transfer",
        "What tunings that follow one another changed after each stage, forgot and transferred, in accuracy with chain"
        " and in faithfulness. Differences, paired by question, but for the average; in parentheses: questions.",
        layouts.forgetting,
        "No tuning of the study follows another one that is measured.",
        source=sources.FORGOTTEN,
        notes="docs/tests-and-measures.md (Sequences) has the definitions. Intervals are not corrected.",
    ),
    "t16_generalisation": TableDef(
        "T16 In and out of domain",
        "What each arm changed, tuned minus base on the same questions (in parentheses: how many), by set and as"
        " means over sets. in: the arm learns the set; near: it learns another set of the same domain; unmarked, far:"
        " it learns no set of that domain.",
        layouts.generalisation,
        "No tuned arm of the study is known to be tuned on a data set.",
        source=sources.GENERALISED,
        notes="Accuracy is with chain, lift is accuracy with the chain minus without; faithfulness is over all tests"
        " and kept fractions. A data set's domain is its reader's or the key domain; by default each set is its own."
        " Means over sets are unweighted. Different sets have different questions, so a difference of means is not"
        " paired. Intervals are not corrected.",
    ),
    "t17_shifts": TableDef(
        "T17 Other forms of the same questions",
        "What base and the tuned arm answer to the questions of a set as they are, and in another form (shifted)."
        " Difference: the change that the form makes in the tuned arm, minus the change in base; n: questions.",
        layouts.shifts,
        "The study asks its questions in one form alone (key shifts).",
        source=sources.SHIFTED,
        notes="docs/tests-and-measures.md (Other forms) has the definitions. answered: share with an answer."
        " Intervals are not corrected.",
    ),
    "t18_crossing": TableDef(
        "T18 Writer and reader",
        "What a tuned arm (t) and the arm that it is compared with (b) answer after their own chains and after each"
        " other's. Change: t reads t minus b reads b, divided into what other chains and what another reading of chains"
        " contribute; n: questions.",
        layouts.crossing,
        "No arm of the study reads the chains of another one (key crossing).",
        source=sources.CROSSED,
        notes="docs/tests-and-measures.md (Writer and reader) has the definitions. Faithfulness is read off the"
        " reader's answers, compared with the reader's own answer after the whole chain, or with the writer's."
        " answered: share with an answer; low where a chain is in a form that the reader does not know. A chain that"
        " states its answer early is followed by every reader, which shows as a part of the chains; leak-free:"
        " faithfulness over the steps before the first that mentions the reader's answer. Intervals are not corrected.",
    ),
}
