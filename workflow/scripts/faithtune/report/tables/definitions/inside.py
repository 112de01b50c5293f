"""T19 to T21: what was found inside arms, how far tuning moved it, and what goes with the effects."""

from faithtune.report.tables import sources
from faithtune.report.tables.definitions.table import TableDef
from faithtune.report.tables.layouts import inside as layouts

_WORDS = "docs/mechanism.md has the definitions."
TABLES = {
    "t19_inside": TableDef(
        "T19 What the answer needs to see",
        "What happens to the answer after the whole chain if it cannot see the chain, the question, or as many other"
        " tokens, or their text is deleted. Where the interval of chain minus others excludes 0, the answer rests on"
        " the chain.",
        layouts.needed,
        "No answer of the study was asked for again with a part of its prompt hidden (key probes).",
        source=sources.NEEDED,
        notes=f"{_WORDS} answers changed: share of answers that become another one. Δ log p: log-probability of the"
        " arm's own answer, minus the same with everything in sight, in nats; below 0 the answer is less likely. JS"
        " divergence: between the options' probabilities with everything in sight and without, in nats, 0 to 0.69; of"
        " questions with options. as many others: as many tokens as the chain has, drawn at random from the user's"
        " turn, or as the question has, from the rest of that turn; all that there are where they are fewer, and n/a"
        " below half. The turn is mostly the question, so an answer that needs both has little in chain minus others"
        " (by question). The marks between question and chain stay visible, and can relay some of a hidden question"
        " (not of a deleted one): where neither changes the answer, the chain says all that it needs. minus"
        " base: tuned minus base on the same questions; above 0 in answers changed, the tuned arm needs the part more."
        " Read changes at chain hidden: the longer a chain, the more its control hides, and tuning changes lengths."
        " deleted:"
        " the text is not there, so what follows moves up and is read without it. n: questions with both answers;"
        " unanswered, truncated: beside n. The Parquet file has the other kept fractions and windows of layers."
        " Intervals are not corrected.",
    ),
    "t20_correlations": TableDef(
        "T20 What goes with the change of faithfulness",
        "Rank correlation ρ, over arms and sets (n pairs), of changes inside with changes of"
        " answers; above 0, both rise together. Few arms tell little, and the sets of one arm are not independent of"
        " each other, so the intervals are too narrow.",
        layouts.correlated,
        "The study has nothing inside its arms to correlate with what tuning changed (key probes).",
        source=sources.CORRELATED,
        notes=f"{_WORDS} ρ is Spearman's; a correlation is no cause, and among many lines some"
        " exclude 0 by chance. size: of the change, whatever its sign, beside measures of distance. Hidden and deleted"
        " parts: at the whole chain; lift: accuracy with the chain minus without. Attention is descriptive: it says"
        " where the answer looks, not what it uses. n/a: too few pairs, or one side does not vary.",
        long=True,
    ),
    "t21_moved": TableDef(
        "T21 How far tuning moved",
        "How far weights, predictions and states of a tuned arm are from base's (0: as base; CKA 1: as base), and from"
        " which layer on its likeliest answer is the final one (lower: decided earlier in the network).",
        layouts.moved,
        "The study does not look at how far tuning moved its arms (key probes).",
        source=sources.MOVED,
        notes=f"{_WORDS} ‖ΔW‖/‖W‖: Frobenius norm of the change of the adapted weights, against their own; effective"
        " rank: directions of that change, the mean over modules. KL: divergence of next tokens from base's on base's"
        " chains, in nats a token. CKA: similarity of states to base's at the answer cue after base's chains, the mean"
        " over layers; few large dimensions decide it, so it is descriptive. decision layer: at the last token before"
        " the answer, read by the network's own head, the mean over the questions that decide (in parentheses: how"
        " many); minus base: on the same questions. set `all`: no set changes it. The Parquet file has modules and"
        " layers. Intervals are not corrected.",
    ),
}
