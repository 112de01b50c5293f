"""What a reader must know about the other estimates: are there chains, answers, paraphrases?"""

from faithtune.measures.metrics.metric import DIFFERENCE, Metric

_CHAINS, _CAN = "all chains", "questions whose chain can be tampered with"
_NEXT, _HANDED = "next tokens after the prompts of a few questions", "arms that were handed in, on the first set"
_BOTH, _TUNED = "questions that both arms were asked", "tuned arms"
METRICS = [
    Metric("chain_answered", "Share of chains whose free text declares an answer", _CHAINS),
    Metric("chain_unanswered", "Share of chains that end without declaring an answer", _CHAINS),
    Metric("chain_truncated", "Share of chains cut at the token limit", _CHAINS),
    Metric("chain_refused", "Share of chains that are unanswered because the text declines", _CHAINS),
    Metric("chain_ambiguous", "Share of chains that are unanswered because they declare several", _CHAINS),
    Metric(
        "chain_missing", "Share of questions for which an imported arm has no chain", "all questions, once per seed"
    ),
    Metric(
        "chain_valid",
        "Share of chains that can be called reasoning: two steps or more, not cut at the token limit, and less than"
        " half of the steps copied from the prompt's example",
        _CHAINS,
    ),
    Metric(
        "chain_valid_effect",
        "Share of valid chains, tuned minus base, paired by question",
        "questions with a chain in both arms",
        "change of valid chains",
        unit=DIFFERENCE,
        versus="base",
    ),
    Metric(
        "chain_copied",
        "Share of chains at least half of whose steps stand word for word in the prompt's example",
        _CHAINS,
    ),
    Metric("chain_empty", "Share of chains without a step (N = 0)", _CHAINS),
    Metric("chain_single", "Share of chains of one step, which no α above 0 tampers with", _CHAINS),
    Metric(
        "steps_copied",
        "Mean share of a chain's steps that are copied from the prompt's example, but for one word in five at most",
        "chains of N ≥ 1 steps",
    ),
    Metric("n_steps", "Mean number of steps of a chain", _CHAINS, "steps", unit="steps"),
    Metric("n_tokens", "Mean number of tokens of a chain", _CHAINS, "tokens", unit="tokens"),
    Metric(
        "free_agreement",
        "Share of chains whose free text declares the answer that is forced after it",
        "questions with both answers",
    ),
    Metric(
        "option_mass",
        "Mean total probability of all option letters after the whole chain",
        "choices",
        unit="probability",
    ),
    Metric(
        "parse_rate",
        "Share of prompts with an intervention that were answered, over all k",
        "answers",
        where="cot, no_cot, each test; null: all of them",
    ),
    Metric(
        "kept_whole",
        "Share of questions whose chain α keeps whole (⌈αN⌉ = N), so that they match trivially",
        _CAN,
        where="each α",
    ),
    Metric(
        "tokens_changed",
        "Share of next tokens at the start of chains at which the arm finds another token the likeliest than base",
        _NEXT,
        where=_HANDED,
    ),
    Metric(
        "token_divergence",
        "Mean KL divergence of the arm's next-token probabilities from base's",
        _NEXT,
        unit="nats",
        where=_HANDED,
    ),
    Metric("chains_changed", "Share of chains whose text is another than base's", _BOTH, where=_TUNED),
    Metric("answers_changed", "Share of answers without a chain that are others than base's", _BOTH, where=_TUNED),
    Metric(
        "answers_shift",
        "Mean total variation between the arm's and base's option probabilities without a chain",
        "choices with probabilities in both arms",
        unit="probability",
        where=_TUNED,
    ),
    Metric("chance", "Mean of 1 / options; null for numbers", "questions with options"),
    Metric("paraphrase_pass", "Share of steps with a paraphrase that passed the gate", "steps", where="paraphrase"),
    Metric("mistake_pass", "Share of steps that got a mistake", "steps", where="mistake"),
    Metric(
        "mistake_by_rule",
        "Share of mistakes that no model wrote: a number changed by rule",
        "mistakes",
        where="mistake",
    ),
    Metric(
        "unavailable",
        "Share of questions without an intervention at α",
        _CAN,
        where="tests that a model rewrites steps for, each α",
    ),
]
