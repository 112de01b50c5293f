"""What is found inside an arm on one evaluation set: the rows of PROBES."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import torch
from tqdm import tqdm

from faithtune.arms.cached_arm import CachedArm
from faithtune.core.schemas.probes import PROBES
from faithtune.models.local import LocalModel
from faithtune.probes import attention, divergence, knockout, lens, states
from faithtune.probes.knockout import Reasoned
from faithtune.probes.lens import Text
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.optional import ProbeSettings


@dataclass(frozen=True)
class Side:
    """An arm with what it has written: CHAINS and ANSWERS of one evaluation set."""

    model: LocalModel
    chains: pl.DataFrame
    answers: pl.DataFrame

    def reasoned(self, questions: pl.DataFrame) -> list[Reasoned]:
        """The questions (QUESTIONS) with a chain that has steps and is not truncated, and an answer after it."""
        full = self.answers.filter(pl.col("test") == "full", pl.col("outcome") == "answered")
        answers = {row["id"]: row for row in full.iter_rows(named=True)}
        chains = {row["id"]: row for row in self.chains.iter_rows(named=True) if row["n_steps"]}
        return [
            Reasoned(row, chains[row["id"]]["steps"], answers[row["id"]]["answer"], answers[row["id"]]["text"])
            for row in questions.iter_rows(named=True)
            if row["id"] in answers and row["id"] in chains
        ]


@dataclass(frozen=True)
class How:
    """How the arm was asked, and what is looked at."""

    templates: dict[str, str]
    chains: ChainSettings
    answers: AnswerSettings
    probes: ProbeSettings
    sampling: dict  # the bootstrap's confidence, replicates and seed


def probe(arm: CachedArm, own: Side, base: Side | None, questions: pl.DataFrame, how: How) -> pl.DataFrame:
    """PROBES of an arm on questions (QUESTIONS), without doses and weights; base: None where the arm is base."""
    looks, reasoned, rows = how.probes.looks, own.reasoned(questions), []
    if "knockout" in looks:
        n_layers = own.model.network.config.get_text_config().num_hidden_layers
        windows = knockout.windows_of(n_layers, how.probes.windows)
        with tqdm(total=len(reasoned), unit="question", desc="knock out", mininterval=5) as bar:
            for one in reasoned:
                rows += knockout.knock_out(arm, [one], how.templates, how.answers, windows)
                bar.update()
    if {"lens", "attention", "linear"} & set(looks):
        rows += _looked_at(own.model, base, reasoned, questions, how)
    if "distance" in looks and base is not None:
        rows += _distance(own.model, base, questions, how)
    return pl.DataFrame(rows, schema=PROBES)


def _looked_at(
    model: LocalModel, base: Side | None, reasoned: Sequence[Reasoned], questions: pl.DataFrame, how: How
) -> Iterator[dict]:
    """What the lens, the attention and the linear probe find: all from one pass over each text."""
    looks, texts, seen = how.probes.looks, [], []
    for one in tqdm(reasoned, unit="question", desc="look inside", mininterval=5):
        read, watch = lens.text(model, one, how.templates), states.AttentionOfLast()
        places = [place for _, _, place in read.places]
        found, _ = states.read(model.network, read.ids, places, watch if "attention" in looks else None)
        if "lens" in looks:
            yield from lens.rows(model.network, read, found)
        if "attention" in looks:
            yield from attention.rows(read, watch)
        texts.append(read)
        seen.append(watch)
    if "attention" in looks:
        yield from attention.rows_by_head(texts, seen)


def _distance(model: LocalModel, base: Side, questions: pl.DataFrame, how: How) -> Iterator[dict]:
    """How far the arm is from base on base's chains: of each token's prediction, and of states at the cue."""
    far = divergence.divergence(base.model, model, questions, base.chains, how.templates, how.chains)
    for row in far.iter_rows(named=True):
        yield {"id": row["id"], "measure": "kl", "value": row["kl"]}


def _states_at_cue(model: LocalModel, reasoned: Sequence[Reasoned], how: How) -> torch.Tensor:
    """(questions, layers + 1, width) at the last token before the answer, after these chains."""
    found = []
    for one in reasoned:
        read: Text = lens.text(model, one, how.templates)
        found.append(states.read(model.network, read.ids, [len(read.ids) - 1])[0][:, 0].cpu())
    return torch.stack(found)
