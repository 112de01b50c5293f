"""Linear probes: can an arm's final answer be read from its hidden states before it writes the chain?

The features of a question are the hidden states at the last token before the chain, layer by layer; the target is the
letter that the arm answers after its whole chain. Where a probe finds it, the answer is there before the chain, and the
chain may be written to fit it (Cox, Kianersi & Garriga-Alonso 2026, arXiv 2603.01437: AUC above 0.9 on most tasks).
Decodable does not mean used (Belinkov 2022, "Probing Classifiers", Computational Linguistics 48:207).

Probes are logistic regressions with an L2 penalty, one option against the rest, scored out of fold: 5 folds, and no
group of questions is in two of them. Four parts:

    states      the arm's states
    text        words and pairs of words of the question (TF-IDF): what needs no model to be known
    shuffled    the arm's states, each of another question: 0.5 but for leaks (selectivity, Hewitt & Liang 2019,
                arXiv 1909.03368). Shuffling states equals shuffling labels, and a row keeps the label of its question.
    base        the probe of base's states and answers, applied to the arm's states: is the direction the same?
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler

from faithtune.core.errors import UserError
from faithtune.probes.registry import N_FOLDS

MEASURE = "linear"
PARTS = STATES, TEXT, SHUFFLED, BASE = ("states", "text", "shuffled", "base")
# The score of a question for an option, from a probe that was fitted on other groups of questions.
SCORES = pl.Schema(
    {
        "id": pl.String,
        "measure": pl.String,  # "linear"
        "part": pl.String,  # states | text | shuffled | base: what the probe reads, see `linear`
        "layer": pl.Int32,  # index in the states; null for the text
        "option": pl.String,  # the letter that the probe separates from all others
        "value": pl.Float64,  # out-of-fold probability of the option, as if it were as frequent as the others together
    }
)
# The features of a question have a length of about 1 (`_scaled`), so C means the same whatever the model's width. It is
# fixed so that arms and layers are comparable, and because few questions would be left to choose it in each fold. In
# simulated states (100 to 800 questions, width 576 to 4096, variances falling as 1/i, the answer along direction 4, 31
# or 201) the AUC with 10 was at most 0.03 below the best of 0.01, 0.1, ... 1000; with 1 it was up to 0.11 below.
C = 10.0
# Probabilities are rounded, so that questions with equal states tie whatever the order of additions.
DIGITS = 6


class Sample(NamedTuple):
    """The n questions of a data set."""

    ids: Sequence[str]
    groups: Sequence[str]
    texts: Sequence[str]  # what the arm is asked, without a template


class Side(NamedTuple):
    """An arm's states and answers, in the order of a sample's questions."""

    states: np.ndarray  # (n, layers, width) at the last token before the chain, float32
    answers: Sequence[str | None]  # the letter after the whole chain; None where it gave none


def why_not(answers: Sequence[str | None], groups: Sequence[str]) -> str | None:
    """Why no probe can be fitted to these answers, in words that name what would be enough; None if one can.

    answers, groups: of n questions; None is no answer.
    """
    counts = _groups_of(answers, groups)
    if len(_options(answers, groups)) >= 2:
        return None
    found = ", ".join(f"{option} in {n}" for option, n in sorted(counts.items())) or "no question"
    return (
        f"a linear probe needs two options that the arm answers in at least {N_FOLDS} groups of questions each, "
        f"one for each fold; it answers {found}"
    )


def decode(sample: Sample, arm: Side, seed: int, base: Side | None = None) -> pl.DataFrame:
    """SCORES of the questions that the arm answers, sorted: by part (as in PARTS), layer, option and id.

    Options that the arm answers in fewer than 5 groups are not probed, as they cannot be in each fold, but are among
    the rest. A fold whose training questions lack an option, or have nothing else, has no rows for it.
    base: the side of base on the same questions, for the part `base`; None for base itself. Folds are stratified by
    base's answers, so base and its arms have the same.
    UserError if `why_not`, or if states are not finite.
    """
    reason = why_not(arm.answers, sample.groups) or _unfit(arm.states) or (base and _unfit(base.states))
    if reason:
        raise UserError(reason)
    frames, ids = [SCORES.to_frame()], np.asarray(sample.ids)
    for held_out in _folds(sample.groups, (base or arm).answers, seed):
        for part, layer, option, questions, values in _parts(sample, arm, base, held_out, seed):
            columns = {"id": ids[questions], "measure": MEASURE, "part": part, "layer": layer, "option": option}
            frames.append(pl.DataFrame(columns | {"value": values}, schema=SCORES))
    return pl.concat(frames).sort(pl.col("part").cast(pl.Enum(PARTS)), "layer", "option", "id")


# A part, its layer, an option, the indices of the questions held out, and the probabilities of the option there.
_Scores = tuple[str, int | None, str, np.ndarray, np.ndarray]


def _parts(sample: Sample, arm: Side, base: Side | None, held_out: np.ndarray, seed: int) -> Iterator[_Scores]:
    """The scores of a fold; held_out: n booleans."""
    options, answers = _options(arm.answers, sample.groups), _letters(arm.answers)
    known = answers != ""
    train, test = np.flatnonzero(known & ~held_out), np.flatnonzero(known & held_out)
    if len(test) == 0 or len(train) == 0:
        return
    others = np.arange(len(answers))
    others[known] = np.random.default_rng(seed).permutation(np.flatnonzero(known))

    def scores(part: str, layer: int | None, features: tuple[np.ndarray, np.ndarray], of: np.ndarray):
        for option, values in _fit(features[0], of, features[1], options):
            yield part, layer, option, test, values

    yield from scores(TEXT, None, _texts(sample.texts, train, test), answers[train])
    for layer in range(arm.states.shape[1]):
        states = arm.states[:, layer].astype(np.float64)
        for part, given in ((STATES, states), (SHUFFLED, states[others])):
            yield from scores(part, layer, _rotated(*_scaled(given[train], given[train], given[test])), answers[train])
        if base is not None:
            of_base = _letters(base.answers)
            learnt = np.flatnonzero((of_base != "") & ~held_out)
            if len(learnt) > 0:
                theirs = base.states[learnt, layer].astype(np.float64)
                yield from scores(BASE, layer, _rotated(*_scaled(theirs, states[train], states[test])), of_base[learnt])


def _folds(groups: Sequence[str], answers: Sequence[str | None], seed: int) -> Iterator[np.ndarray]:
    """The questions held out, of each fold: n booleans. No group is in two folds; answers are about as frequent."""
    letters = _letters(answers)
    if max(np.unique(letters, return_counts=True)[1]) < N_FOLDS:
        letters = np.zeros(len(groups), dtype=int)  # scikit-learn refuses to stratify
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # an answer in fewer questions than there are folds
        folds = StratifiedGroupKFold(N_FOLDS, shuffle=True, random_state=seed)
        for _, test in folds.split(np.zeros(len(groups)), letters, np.asarray(groups)):
            yield np.isin(np.arange(len(groups)), test)


def _fit(
    train: np.ndarray, answers: np.ndarray, test: np.ndarray, options: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """Each option with its probabilities in `test` (m, d), from probes of `train` (n, d) and its n answers.

    Classes are weighted to be equally frequent. Else the intercept would be higher in folds whose held-out questions
    have fewer of the option, and an AUC over all folds below 0.5 where there is nothing to read (Parker, Günter &
    Bedo 2007, BMC Bioinformatics 8:326).
    """
    for option in options:
        labels = answers == option
        if labels.any() and not labels.all():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)
                probe = LogisticRegression(C=C, class_weight="balanced", max_iter=1000).fit(train, labels)
            yield option, probe.predict_proba(test)[:, 1].round(DIGITS)


def _scaled(train: np.ndarray, own: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standardised features of length about 1: `train` (n, width) by itself; `test` (m, width) by the means of `own`.

    own: training questions of the arm in `test`, which is `train` unless a probe of base is applied. Scales are the
    probe's. With its own means a shift of all states, which tells no questions apart, does not move the arm to where
    the probe's probabilities are all 0 or 1.
    """
    scaler, root = StandardScaler().fit(train), np.sqrt(train.shape[1])
    return scaler.transform(train) / root, (test - own.mean(axis=0)) / scaler.scale_ / root


def _texts(texts: Sequence[str], train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """TF-IDF of words and of pairs of words, numbers and single letters included; of length 1."""
    texts = np.asarray(texts, dtype=object)
    words = TfidfVectorizer(ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    return _rotated(words.fit_transform(texts[train]), words.transform(texts[test]))


def _rotated(train, test) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, d) and (m, d), dense or sparse, along an orthonormal basis of the rows of `train`.

    A penalised fit lies in their span, so it is the same, and n dimensions take less time than thousands.
    """
    if train.shape[1] <= train.shape[0]:
        return _dense(train), _dense(test)
    variances, basis = np.linalg.eigh(_dense(train @ train.T))
    kept = variances > 1e-10 * max(variances[-1], 1e-10)
    if not kept.any():  # all questions have the same state
        return np.zeros((train.shape[0], 1)), np.zeros((test.shape[0], 1))
    lengths, basis = np.sqrt(variances[kept]), basis[:, kept]
    return basis * lengths, _dense(test @ train.T) @ basis / lengths


def _dense(matrix) -> np.ndarray:
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray()


def _unfit(states: np.ndarray) -> str | None:
    bad = np.flatnonzero(~np.isfinite(states).all(axis=(0, 2)))
    return f"hidden states of layer {bad[0]} are not finite: the model computes NaN or infinity" if len(bad) else None


def _letters(answers: Sequence[str | None]) -> np.ndarray:
    return np.array([answer or "" for answer in answers])


def _groups_of(answers: Sequence[str | None], groups: Sequence[str]) -> dict[str, int]:
    """The number of groups in which each option is answered."""
    pairs = {(answer, group) for answer, group in zip(answers, groups, strict=True) if answer is not None}
    return {option: sum(answer == option for answer, _ in pairs) for option in {answer for answer, _ in pairs}}


def _options(answers: Sequence[str | None], groups: Sequence[str]) -> list[str]:
    """The options to probe: answered in at least as many groups as there are folds."""
    return sorted(option for option, n in _groups_of(answers, groups).items() if n >= N_FOLDS)
