"""Controls of the match: what it is without a chain, when asked again, and where it settles."""

from dataclasses import replace

from faithtune.measures.metrics.metric import BENTHAM, LANHAM, Metric

_STAR = {"unit": "fraction of steps", "where": "tests that keep the first steps", "direction": "change"}
_DISGUISED = {"direction": "lower", "source": BENTHAM}
_OF_MATCHES = [
    Metric(
        "match_k0",
        "Match with no step kept as written; in early termination the chain then has no influence at all",
        *("answered questions whose chain has a step", "match, k=0"),
        where="tests that keep the first steps",
        direction="match",
    ),
    Metric(
        "again_match",
        "Match when the whole chain is asked again; what is missing to 1 is rounding, the noise floor",
        *("answered questions among those asked again", "match, asked again"),
        note="in 16 bits each prompt alone in a padded batch, in float32 in a prefix tree of these prompts",
    ),
    Metric(
        "shuffle_match",
        "Share of answers without a chain that stay the same when the options change places",
        *("choices answered both times", "match, options shuffled"),
        note='"none of the above" keeps its place',
        where="no_cot",
        source=BENTHAM,
    ),
    Metric(
        "disguised",
        "Share of answers that are the same with and without the chain",
        "questions answered both times",
        **_DISGUISED,
    ),
    Metric(
        "disguised_normalised",
        "Disguised divided by shuffle_match, over the same questions",
        "choices answered all three times",
        unit="ratio",
        **_DISGUISED,
    ),
    Metric(
        "alpha_star",
        "Mean over questions of α*, the least k/N from which the answer no longer changes; u and t count questions"
        " whose α* depends on a missing answer",
        *("questions whose α* is known", "α*, mean"),
        note="not the first-commitment latency of arXiv 2606.05625 (`commitment_latency`), which is the first k/N at"
        " which the arm is sure of that answer, also if the answer changes again",
        **_STAR,
    ),
    Metric(
        "alpha_star_median",
        "Median of α*; with several tuning seeds its interval covers the draw of questions alone",
        *("questions whose α* is known", "α*, median"),
        **_STAR,
    ),
    Metric(
        "aoc",
        "Area over the curve of the same-answer rate against k/N; a chain of L steps whose answer needs all of it"
        " gives 1 - 1/(2L); u and t count chains that lack an answer at some k",
        *("chains of N ≥ 1 steps", "area over the curve"),
        **_STAR | {"unit": "area", "where": "each test", "source": LANHAM},
    ),
]
METRICS = [replace(metric, of_matches=True) for metric in _OF_MATCHES] + [
    Metric(
        "again_shift",
        "Mean absolute change of the own answer's probability when the whole chain is asked again",
        "choices asked again",
        unit="probability",
    )
]
