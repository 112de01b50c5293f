"""What can be measured inside an arm, defined once: the rows of PROBES are named after these measures."""

from dataclasses import dataclass

# What an answer cannot see, or what is deleted: `part` of PROBES.
CHAIN, QUESTION = "chain", "question"
# As many tokens of the user's turn, or of its rest, drawn at random (`knockout.hidden_parts`).
CONTROLS = {CHAIN: "random_chain", QUESTION: "random_question"}
# Level of the intervals in PROBES: the configured one is for estimates, so that it is free to change.
LEVEL = 0.95
# Linear probes are scored on questions that they were not fitted on: folds of groups of questions.
N_FOLDS = 5
# Where the lens looks.
BEFORE, STEP, CUE = "before", "step", "cue"

KNOCKOUT = "arXiv 2304.14767; necessity and completeness: 2605.24286"
LENS, VALUES = "the logit lens (nostalgebraist 2020)", "arXiv 2004.10102, without the output projection"
RANK, RAZOR, CKA = "Roy & Vetterli 2007", "arXiv 2509.04259", "arXiv 1905.00414"


@dataclass(frozen=True)
class Measure:
    """A measure of PROBES."""

    name: str
    look: str  # of the configuration's `probes.looks`
    title: str
    what: str  # one sentence without its full stop
    unit: str  # nats | share | probability | layer | ratio | ...
    parts: str = ""  # the values of `part`, in words
    source: str = ""  # the paper that defines it; "" for this study
    bounds: tuple[float, float] | None = None  # least and greatest possible value


_HIDDEN = "chain, question; random_chain, random_question: the controls"
_REMOVED = "chain, question"
MEASURES = {
    measure.name: measure
    for measure in (
        Measure(
            *("knockout_js", "knockout", "what hiding does to the options"),
            "Jensen-Shannon divergence between the options' probabilities after k steps and the same with a part hidden"
            " from the cue and the answer; of the chain it is its necessity, of the question small where the chain says"
            " all (completeness)",
            *("nats", _HIDDEN, KNOCKOUT),
            bounds=(0.0, 0.6931471805599453),
        ),
        Measure(
            *("knockout_log_p", "knockout", "what hiding does to the own answer"),
            "Log-probability of the arm's own full-chain answer with a part hidden, less that without; probabilities"
            " below 1e-10 count as 1e-10",
            *("nats", _HIDDEN, KNOCKOUT),
        ),
        Measure(
            *("knockout_changed", "knockout", "answers that hiding changes"),
            "Whether the answer with a part hidden is another than without; null where either is missing",
            *("share", _HIDDEN, KNOCKOUT),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("removal_js", "knockout", "what deleting does to the options"),
            "As knockout_js, with the part's text deleted: later tokens move up, and chain and cue are read without it",
            *("nats", _REMOVED),
            bounds=(0.0, 0.6931471805599453),
        ),
        Measure(
            *("removal_log_p", "knockout", "what deleting does to the own answer"),
            "As knockout_log_p, with the part's text deleted",
            *("nats", _REMOVED),
        ),
        Measure(
            *("removal_changed", "knockout", "answers that deleting changes"),
            "As knockout_changed, with the part's text deleted",
            *("share", _REMOVED),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("lens_p", "lens", "the final answer in a layer"),
            "Probability that a layer's state, read by the network's own head, gives the final answer among the"
            " options; of a number, its first token with a digit among all tokens that begin with one",
            "probability",
            "before (the last token before the chain); step (the end of step k); cue (the last one before the answer)",
            LENS,
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("decision_layer", "lens", "decision layer"),
            "First layer from which to the last the likeliest answer is the final one; null where the last layer has"
            " another",
            *("layer", "before, step, cue"),
            LENS,
        ),
        Measure(
            *("linear", "linear", "score of a linear probe"),
            "Probability that a logistic regression on the layer's state before the chain gives an option, out of fold",
            "probability",
            "states; text (words of the question alone); shuffled (labels permuted); base (fitted on base, read here)",
            *("arXiv 2603.01437",),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("attention", "attention", "attention of the cue"),
            "Attention of the last token before the answer to a part, summed over the part's tokens; descriptive: it"
            " does not say what is used",
            "share",
            "first (the first token), template, prompt (the user's turn without the question), question, step (number"
            " k), cue",
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("attention_weighted", "attention", "attention of the cue by values"),
            "The same, each token's weight multiplied by the norm of its value vector, as a share of all tokens",
            *("share", "as of attention", VALUES),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("tokens", "attention", "tokens"),
            "How many tokens a part has",
            *("tokens", "as of attention"),
        ),
        Measure(
            *("kl", "distance", "KL(base || arm)"),
            "Mean, over the tokens of base's chain, of the divergence of the arm's next-token probabilities from it",
            "nats",
            source=RAZOR,
        ),
        Measure(
            *("cka", "distance", "similarity to base"),
            "Linear centred kernel alignment of the arm's states with base's at the answer cue, after base's chains;"
            " descriptive: few large dimensions decide it",
            "ratio",
            source=CKA,
        ),
        Measure(
            *("dose_correct", "dose", "right after the chain"),
            "Whether the scaled arm answers rightly after the chain that the arm wrote at scale 1",
            *("share", "what is switched off; null: nothing"),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("dose_correct_no_cot", "dose", "right without a chain"),
            "Whether the scaled arm answers rightly without a chain",
            *("share", "as of dose_correct"),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("dose_match", "dose", "match of the scaled arm"),
            "Mean over k < N of whether its answer after k steps is its own answer after all of them",
            *("share", "as of dose_correct"),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("dose_same", "dose", "answers as at scale 1"),
            "Whether its answer after the whole chain is the arm's",
            *("share", "as of dose_correct"),
            bounds=(0.0, 1.0),
        ),
        Measure(
            *("weight_change", "weights", "relative change of weights"),
            "‖ΔW‖ / ‖W‖ (Frobenius) of the adapted weights, of full tuning of all",
            *("ratio", "the module's kind, such as q_proj; null: all together"),
        ),
        Measure(
            *("effective_rank", "weights", "effective rank of the change"),
            "Exponential of the entropy of ΔW's normalised singular values",
            *("directions", "the module's kind"),
            RANK,
        ),
    )
}


def markdown_table() -> str:
    """All measures as a Markdown table, for the manual."""
    lines = ["| measure | look | what it is | part | unit | source |", "|---|---|---|---|---|---|"]
    for one in MEASURES.values():
        cells = (f"`{one.name}`", f"`{one.look}`", one.what, one.parts, one.unit, one.source or "this study")
        lines.append(f"| {' | '.join(cells).replace('||', chr(92) + '|' + chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
