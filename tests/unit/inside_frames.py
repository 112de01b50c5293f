"""Made-up findings inside arms: INSIDE and CORRELATIONS of base and tuned arms with known numbers."""

import math

import polars as pl

from faithtune.core.schemas.probes import CORRELATIONS, INSIDE

ARMS = ("base", "q-s")
SHARES = {  # of answers that change, of base and the tuned arm
    "chain": (0.8, 0.83),
    "random_chain": (0.3, 0.31),
    "chain_beyond_control": (0.5, 0.52),
    "question": (0.04, 0.05),
    "random_question": (0.1, 0.1),
    "question_beyond_control": (-0.06, -0.05),
}
PLACES = ("first third", "middle third", "last third", "attention", "mlp")
MODULES = ("q_proj", "v_proj", "up_proj")


def row(measure: str, part: str | None, estimate: float | None, half: float | None = 0.1, **more) -> dict:
    """A row of INSIDE of a tuned arm: its estimate, with an interval of ± half; None: without one."""
    known = {"model": "m", "arm": "q-s", "train_set": "s", "eval_set": "s", "what": "value", "n": 40, "seeds": 1}
    ends = {} if half is None or estimate is None else {"low": estimate - half, "high": estimate + half}
    return known | {"measure": measure, "part": part, "estimate": estimate} | ends | more


def hidden(eval_set: str = "s", shares: dict = SHARES, half: float = 0.1, **more) -> list[dict]:
    """What base and the tuned arm need to see: answers that change, at the whole chain, and the changes from base."""
    asked = {"alpha": 1.0, "n_unanswered": 1, "n_truncated": 0, "eval_set": eval_set} | more
    found = []
    for part, (base, tuned) in shares.items():
        found.append(row("knockout_changed", part, base, half, **asked | {"arm": "base", "train_set": None}))
        found.append(row("knockout_changed", part, tuned, half, **asked))
        found.append(row("knockout_changed", part, tuned - base, half, **asked | {"what": "change", "p": 0.5}))
    return found


def by_layer(eval_set: str = "s", n_layers: int = 6, n_windows: int = 3, arms: tuple = ARMS) -> list[dict]:
    """What stands in layers: lens, probe, windows, attention, similarity, weights."""
    found = []
    for i, arm in enumerate(arms):
        about = {"arm": arm, "eval_set": eval_set}
        for layer in range(n_layers + 1):
            up = 1 / (1 + math.exp(-(layer - 0.7 * n_layers - i) / 2))
            found += [
                row("lens_p", "cue", up, 0.05, layer=layer, **about),
                row("lens_p", "before", 0.3 + 0.2 * up, 0.08, layer=layer, **about),
                row("linear_auc", "states", 0.5 + (0.3 + 0.1 * i) * up, 0.06, layer=layer, **about),
            ]
            if i and layer:
                found.append(row("cka", None, 1 - 0.1 * i * up, 0.02, layer=layer, **about))
        found.append(row("linear_auc", "text", 0.6 + 0.02 * i, 0.05, **about))
        for layer in range(n_layers):
            found.append(row("attention", "chain", 0.1 + 0.3 * (layer % 4 == 2), 0.02, layer=layer, **about))
        ends = [round(j * n_layers / n_windows) for j in range(n_windows + 1)]
        for j in range(n_windows):
            window = {"layer": ends[j], "last_layer": ends[j + 1] - 1, "alpha": 1.0}
            found.append(row("knockout_changed", "chain", 0.1 + 0.2 * j - 0.05 * i, 0.06, **about, **window))
            found.append(row("knockout_changed", "question", 0.05 + 0.03 * j, 0.04, **about, **window))
    return found


def weights(n_layers: int = 6, arms: tuple = ARMS[1:]) -> list[dict]:
    """How far weights moved: by module and layer, and over all."""
    found = []
    for i, arm in enumerate(arms):
        about = {"arm": arm, "eval_set": None, "n": None}
        for layer in range(n_layers):
            for j, module in enumerate(MODULES):
                size = 0.01 * (i + 1) * (1 + j / 2) * (1 + layer / n_layers)
                found.append(row("weight_change", module, size, None, layer=layer, **about))
                found.append(row("effective_rank", module, 4 + j, None, layer=layer, **about))
        found.append(row("weight_change", None, 0.0123, None, **about))
        found.append(row("effective_rank", None, 5.0, None, **about))
    return found


def doses(eval_set: str = "s", arms: tuple = ARMS[1:], scales: tuple = (0, 0.25, 0.5, 0.75, 1, 1.25)) -> list[dict]:
    """Adapters scaled, and switched off in places."""
    found = []
    for i, arm in enumerate(arms):
        about = {"arm": arm, "eval_set": eval_set}
        for j, measure in enumerate(("dose_correct", "dose_correct_no_cot", "dose_match", "dose_same")):
            for scale in scales:
                value = min(1.0, 0.2 + 0.1 * j + 0.4 * scale / (1 + i))
                found.append(row(measure, None, value, 0.07, scale=float(scale), **about))
            for k, place in enumerate(PLACES):
                found.append(row(measure, place, 0.3 + 0.1 * k, 0.07, scale=1.0, **about))
    return found


def frame(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=INSIDE)


def correlations(*rows: dict) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=CORRELATIONS)
