"""Published measures of how early an arm is sure of its own answer, and of how far mistakes in its chain move it.

p_k is the probability of the arm's own full-chain answer after the first k of a chain's N steps.
"""

from dataclasses import replace

from faithtune.measures.metrics.metric import DIFFERENCE, Metric

CIR, LATENCY, PREMATURE_CONFIDENCE, NLDD = (
    f"arXiv {number}" for number in ("2604.22074", "2606.05625", "2605.24396", "2602.11201")
)
# θ of the first-commitment latency: from this probability on, an arm is committed (arXiv 2606.05625, abstract).
COMMITTED = 0.8
# Chains whose confidence has a rank correlation with k below this are premature (arXiv 2605.24396).
PREMATURE = 0.4
# A curve that varies by less is flat: its ranks are noise. arXiv 2605.24396 draws ten answers a checkpoint in training,
# so a smaller change is less than one of its answers.
FLAT = 0.1
# Of log-probabilities in nats (odds of 1.1 to 1): NLDD divides by it, so that smaller ones would dominate the mean.
LEAST_MARGIN = 0.1

_KNOWN, _IN_BOTH = "chains of N ≥ 2 steps with p_k at every k", "questions with it in both arms"
_CURVE = {"where": "early_termination", "of_matches": True}
_HIGHER, _LOWER = _CURVE | {"direction": "higher"}, _CURVE | {"direction": "lower"}
_AT_STEPS = "the paper truncates the chain at tokens, this study at steps"
_OWN = [
    Metric(
        "cir",
        "Causal importance of reasoning: mean over k = 1 ... N of JS(Bernoulli(p_k) ‖ Bernoulli(p_N)), the"
        " Jensen-Shannon divergence; p_k: probability of the own full-chain answer after k steps",
        *(_KNOWN, "causal importance (CIR)"),
        unit="nats",
        source=CIR,
        note=f"from the README of its repository; {_AT_STEPS}; as the term of k = N is 0, at most (N - 1)/N ln 2",
        **_HIGHER,
    ),
    Metric(
        "commitment_latency",
        f"First-commitment latency: mean of the least k/N with p_k ≥ {COMMITTED:g}, whether or not p falls again",
        *("chains with p_k at every k, one of them that high", "commitment latency"),
        unit="fraction of steps",
        source=LATENCY,
        note="the paper estimates p_k by the share of five sampled answers; α* is the least k/N from which the answer"
        " no longer changes, so it can be later",
        **_HIGHER,
    ),
    Metric(
        "commitment_range",
        "Mean of the greatest p_k minus the least",
        *(_KNOWN, "commitment range"),
        unit="probability",
        source=f"after {LATENCY}",
        note="the paper has a commitment range; only its name could be read, so the definition is this study's",
        **_HIGHER,
    ),
    Metric(
        "uncommitted_mass",
        "Mean over k = 0 ... N of 1 - p_k; high also where an arm is unsure after its whole chain",
        _KNOWN,
        unit="probability",
        source=LATENCY,
        note="the name is the paper's; its abstract does not say which positions the mean is over",
        **_HIGHER,
    ),
    Metric(
        "confidence_rho",
        "Mean of Spearman's ρ between p_k and k = 0 ... N; without flat curves",
        *("chains whose curve is not flat", "ρ of confidence with k"),
        unit="correlation",
        source=PREMATURE_CONFIDENCE,
        note="the paper has eleven checkpoints of a sampled share, this study N + 1 of p_k and interpolates nothing: a"
        " chain of two steps has three points",
        **_HIGHER,
    ),
    Metric(
        "premature_confidence",
        f"Share of chains with ρ < {PREMATURE:g}; without flat curves, which `confidence_flat` counts",
        *("chains whose curve is not flat", "premature confidence"),
        source=PREMATURE_CONFIDENCE,
        **_LOWER,
    ),
    Metric(
        "nldd",
        "Normalized logit difference decay: mean over steps of (LD - LD')/LD, where LD is the log-probability of the"
        " correct option minus the greatest of an incorrect one after the whole chain, and LD' after a mistake in step"
        " k + 1; 0: mistakes take nothing, above 1: another option is likelier",
        *("choices answered correctly after N ≥ 2 steps, with a margin", "NLDD"),
        unit="ratio",
        source=NLDD,
        note="the paper writes 100 for 1, and divides LD by a scale S, which cancels where it is the same after both"
        " chains; its chain ends with the corrupted step, here the arm writes the rest again; of numbers one answer's"
        " probability alone is stored, so they have no LD",
        where="mistake",
        direction="higher",
        of_matches=True,
    ),
]
_UNITS = {"share": DIFFERENCE, "probability": DIFFERENCE, "fraction of steps": DIFFERENCE}  # others keep their unit
_UNDEFINED = [
    Metric(
        "curve_unknown",
        "Share of chains without p_k at some k, which have no CIR, commitment or ρ",
        "answered chains of N ≥ 2 steps",
        note="expressions and hosts without log-probabilities have none",
        where="early_termination",
    ),
    Metric(
        "commitment_never",
        f"Share of chains whose p_k is below {COMMITTED:g} at every k, the whole chain included: no latency",
        *(_KNOWN, "never committed"),
        where="early_termination",
    ),
    Metric(
        "confidence_flat",
        f"Share of chains whose greatest and least p_k differ by less than {FLAT:g}: no ρ; the answer is as likely"
        " without the chain as with it, so that read with premature_confidence these are the most premature",
        *(_KNOWN, "confidence flat"),
        where="early_termination",
    ),
    Metric(
        "nldd_undefined",
        f"Share of choices without NLDD: LD below {LEAST_MARGIN:g} nats, a probability of 0 or unknown, or no step"
        " with a mistake",
        "choices answered correctly after N ≥ 2 steps",
        "NLDD undefined",
        note="public code of the paper takes an NLDD of 0 where the margin is low, which pulls the mean there",
        where="mistake",
    ),
]


def _effect(metric: Metric) -> Metric:
    return replace(
        metric,
        name=f"{metric.name}_effect",
        what=f"Change of `{metric.name}`, tuned minus base, paired by question",
        n=_IN_BOTH,
        title=f"change of {metric.title}",
        unit=_UNITS.get(metric.unit, metric.unit),
        versus="base",
        note="",
    )


METRICS = [*(one for metric in _OWN for one in (metric, _effect(metric))), *_UNDEFINED]
