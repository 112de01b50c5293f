"""What is found inside an arm on one evaluation set: the rows of PROBES."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from tqdm import tqdm

from faithtune.arms.cached_arm import CachedArm
from faithtune.core.schemas.probes import PROBES
from faithtune.data.questions import MARKER, question_block
from faithtune.models.local import LocalModel
from faithtune.probes import attention, divergence, knockout, lens, parts, reasoned, similarity, states
from faithtune.probes.reasoned import Reasoned
from faithtune.probes.registry import LEVEL
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.optional import ProbeSettings

# Of folds and of resampled groups.
SEED = 0


@dataclass(frozen=True)
class Side:
    """An arm with what it has written: CHAINS and ANSWERS of one evaluation set."""

    model: LocalModel
    chains: pl.DataFrame
    answers: pl.DataFrame

    def reasoned(self, questions: pl.DataFrame) -> list[Reasoned]:
        """The questions (QUESTIONS) that can be looked into."""
        return reasoned.find(questions, self.chains, self.answers)


@dataclass(frozen=True)
class How:
    """How the arm was asked, and what is looked at."""

    templates: dict[str, str]
    chains: ChainSettings
    answers: AnswerSettings
    probes: ProbeSettings


def probe(arm: CachedArm, own: Side, base: Side | None, questions: pl.DataFrame, how: How) -> pl.DataFrame:
    """PROBES of an arm on questions (QUESTIONS), but for doses and weights; base: None where the arm is base."""
    looks, asked, rows = how.probes.looks, own.reasoned(questions), []
    if "knockout" in looks:
        rows += _knocked_out(arm, own.model, asked, how)
    if "lens" in looks or "attention" in looks:
        rows += _looked_at(own.model, asked, how)
    if "linear" in looks:
        rows += _linear(own, base, questions, how)
    if "distance" in looks and base is not None:
        rows += _distance(own.model, base, questions, how)
    return pl.DataFrame(rows, schema=PROBES)


def _knocked_out(arm: CachedArm, model: LocalModel, asked: Sequence[Reasoned], how: How) -> Iterator[dict]:
    if not asked:
        return
    n_layers = model.network.config.get_text_config().num_hidden_layers
    windows = knockout.windows_of(n_layers, how.probes.windows)
    for one in tqdm(asked, unit="question", desc="knock out", mininterval=5):
        yield from knockout.knock_out(arm, [one], how.templates, how.answers, windows)


def _looked_at(model: LocalModel, asked: Sequence[Reasoned], how: How) -> Iterator[dict]:
    """What the lens and the attention of the cue find, from one pass over each text."""
    looks, heads = how.probes.looks, attention.Heads()
    for one in tqdm(asked, unit="question", desc="look inside", mininterval=5):
        read, watch = lens.text(model, one, how.templates), states.AttentionOfLast()
        places = [place for _, _, place in read.places]
        found, _ = states.read(model.network, read.ids, places, watch if "attention" in looks else None)
        if "lens" in looks:
            yield from lens.rows(model.network, read, found)
        if "attention" in looks:
            yield from attention.rows(read, watch)
            heads.add(read, watch)
    yield from heads.rows()


def _linear(own: Side, base: Side | None, questions: pl.DataFrame, how: How) -> Iterator[dict]:
    """Scores of linear probes, for choices; a line where they cannot be."""
    rows = [row for row in questions.iter_rows(named=True) if row["kind"] == "choice"]
    if not rows:
        return
    from faithtune.probes import linear  # scikit-learn takes two seconds

    groups, marker = [row["group"] for row in rows], how.templates.get("marker", MARKER)
    sample = linear.Sample([row["id"] for row in rows], groups, [question_block(row, marker) for row in rows])
    answers = [_letters(side, rows) for side in (own, base) if side]
    if reason := next(filter(None, (linear.why_not(each, groups) for each in answers)), None):
        print(f"no linear probe: {reason}", file=sys.stderr)
        return
    sides = [
        linear.Side(_states_before(side.model, rows, how), letters)
        for side, letters in zip(filter(None, (own, base)), answers, strict=True)
    ]
    yield from linear.decode(sample, sides[0], SEED, *sides[1:]).iter_rows(named=True)


def _letters(side: Side, rows: Sequence[dict]) -> list[str | None]:
    """The answers after whole chains, None where there is none."""
    full = reasoned.full_answers(side.answers)
    return [full[row["id"]]["answer"] if row["id"] in full else None for row in rows]


def _states_before(model: LocalModel, rows: Sequence[dict], how: How) -> np.ndarray:
    """(questions, layers + 1, width) at the last token before the chain."""
    found = []
    for row in tqdm(rows, unit="question", desc="read before the chain", mininterval=5):
        divided = parts.divide(model, how.templates, row, [])
        ids = model.token_ids(divided.prompt)[: divided.before + 1]
        found.append(states.read(model.network, ids, [divided.before])[0][:, 0].cpu().numpy())
    return np.stack(found)


def _distance(model: LocalModel, base: Side, questions: pl.DataFrame, how: How) -> Iterator[dict]:
    """How far the arm is from base on base's chains: of each token's prediction, and of states at the cue."""
    far = divergence.divergence(base.model, model, questions, base.chains, how.templates, how.chains)
    for row in far.iter_rows(named=True):
        yield {"id": row["id"], "measure": "kl", "value": row["kl"]}
    if asked := base.reasoned(questions):
        sides = (_states_at_cue(each, base.model, asked, how) for each in (base.model, model))
        groups = [one.question["group"] for one in asked]
        for row in similarity.compare_states(*sides, groups, SEED, LEVEL):
            yield {"measure": "cka", "layer": row["layer"], "value": row["cka"]} | {
                end: row[end] for end in ("low", "high")
            }


def _states_at_cue(model: LocalModel, writer: LocalModel, asked: Sequence[Reasoned], how: How) -> np.ndarray:
    """(questions, layers + 1, width) at the last token before the answer; writer: whose text it is."""
    found = []
    for one in tqdm(asked, unit="question", desc="compare states", mininterval=5):
        ids = lens.text(writer, one, how.templates).ids
        found.append(states.read(model.network, ids, [len(ids) - 1])[0][:, 0].cpu().numpy())
    return np.stack(found)
