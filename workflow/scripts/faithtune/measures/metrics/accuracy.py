"""Accuracy: without a chain, after it, and as the free text declares."""

from faithtune.measures.metrics.metric import DIFFERENCE, LANHAM, PAPER, Metric

_ALL, _PAIRED = "all questions", "all questions of both arms"
_ASKED, _SWEPT = "cot, no_cot, free", "cot, no_cot, free; filler_sweep, each k"
_CHANGE = {"unit": DIFFERENCE, "versus": "base", "where": _ASKED}
METRICS = [
    Metric(
        "accuracy",
        "Share of all questions answered correctly; unanswered and truncated ones count as incorrect",
        _ALL,
        where=_SWEPT,
        source=f"{PAPER}; filler_sweep: {LANHAM}",
        bounds=("accuracy_if_unanswered_wrong", "accuracy_if_unanswered_right"),
    ),
    Metric(
        "accuracy_if_unanswered_wrong",
        "Least possible accuracy: every missing answer is wrong, so it equals accuracy",
        *(_ALL, "accuracy, missing answers wrong"),
        where=_SWEPT,
    ),
    Metric(
        "accuracy_if_unanswered_right",
        "Greatest possible accuracy: every missing answer is right",
        *(_ALL, "accuracy, missing answers right"),
        where=_SWEPT,
    ),
    Metric(
        "accuracy_answered",
        "Share of correct answers among answered questions",
        *("answered questions", "accuracy, answered"),
        where=_ASKED,
    ),
    Metric("accuracy_lenient", "Accuracy by the lenient extractor", _ALL, "accuracy, lenient", where=_ASKED),
    Metric(
        "accuracy_effect",
        "Accuracy, tuned minus base, paired by question; u and t count answers missing in either arm",
        *(_PAIRED, "change of accuracy"),
        source=PAPER,
        bounds=("accuracy_effect_least", "accuracy_effect_most"),
        **_CHANGE,
    ),
    Metric(
        "accuracy_effect_least",
        "Least possible change: missing answers are right in base and wrong in the tuned arm",
        *(_PAIRED, "least change of accuracy"),
        **_CHANGE,
    ),
    Metric(
        "accuracy_effect_most",
        "Greatest possible change: missing answers are wrong in base and right in the tuned arm",
        *(_PAIRED, "greatest change of accuracy"),
        **_CHANGE,
    ),
    Metric(
        "accuracy_effect_lenient",
        "Change of accuracy by the lenient extractor",
        *(_PAIRED, "change of accuracy, lenient"),
        **_CHANGE,
    ),
    Metric(
        "cot_lift",
        "Accuracy with the chain minus accuracy without it, in the same arm, paired by question; u and t count"
        " answers missing in either",
        *(_ALL, "accuracy w/ CoT minus w/o"),
        **_CHANGE | {"where": "cot", "versus": "no_cot"},
    ),
    Metric(
        "above_chance",
        "Accuracy with the chain minus the mean of 1 / options (0 for numbers); where the interval reaches 0.00 the"
        " arm is at chance (†)",
        *(_ALL, "accuracy w/ CoT above chance"),
        unit=DIFFERENCE,
        where="cot",
    ),
]
