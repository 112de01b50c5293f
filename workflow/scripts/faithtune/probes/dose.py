"""What an arm answers with its adapter scaled, or switched off in places: the dose curve and where the effect is.

The network computes with W + λΔW. The chains stay the arm's own, so what changes is how they are read. At λ = 0 base
reads them, at λ = 1 the arm itself; between the two the weights are those of WiSE-FT (Wortsman et al. 2022, arXiv
2109.01903). Switched off in a place means λ = 0 in some layers or modules and 1 in all others.
"""

import contextlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from statistics import fmean

import polars as pl

from faithtune.arms import answers
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.data import expressions
from faithtune.models.local import LocalModel
from faithtune.probes.weights import layer_of
from faithtune.settings.answers import AnswerSettings

THIRDS = ("first third", "middle third", "last third")
# Whatever is adapted in a decoder layer and is no attention is its feed-forward part.
PLACES = (*THIRDS, "attention", "mlp")

# Ways to draw LoRA's first weights that leave the base as it is; others, such as PiSSA, change its weights.
_PLAIN_STARTS = (True, False, None, "gaussian", "orthogonal", "eva")


@dataclass(frozen=True)
class Setting:
    """The adapter multiplied by `scale`, or switched off in the place `part` and as it is elsewhere."""

    scale: float = 1.0
    part: str | None = None


def why_no_dose(arm: dict | None) -> str | None:
    """Why the adapter of an arm (its arm.json; None: base) has no dose, in words that follow "the arm"; None if it has.

    LoRA of any kind that adds a matrix to layers, and does nothing else, has one. Reads the files of an adapter that
    was handed in, as it may hold more.
    """
    if arm is None:
        return "is base, without an adapter"
    match arm["adapter"]:
        case "full":
            return "is tuned in all weights, without an adapter that could be scaled"
        case "ia3":
            return "multiplies activations by factors (IA3), which have no scale"
        case "dora":
            return "has DoRA, which at scale 0 is not off: its magnitudes stay"
        case "lora" | "qlora" | "rslora":
            return _more_than_lora(Path(arm["path"])) if arm.get("handed_in") else None
    return f"has an adapter of a kind that is not known to scale ({arm['adapter']})"


def settings_of(network, scales: Sequence[float]) -> list[Setting]:
    """Each scale, then each of PLACES in which the network has an adapter, though not in that place alone."""
    adapted = _adapted(network)
    found = {place: _within(network, place) for place in PLACES}
    places = [place for place, modules in found.items() if 0 < len(modules) < len(adapted)]
    return [*(Setting(float(scale)) for scale in scales), *(Setting(part=place) for place in places)]


@contextlib.contextmanager
def dosed(network, setting: Setting) -> Iterator[None]:
    """Within it a network with LoRA, not merged, computes in a setting; afterwards as before, also after an error."""
    from peft.helpers import rescale_adapter_scale

    with contextlib.ExitStack() as stack:
        if setting.part is None:
            stack.enter_context(rescale_adapter_scale(network, setting.scale))
        else:
            for module in _within(network, setting.part):
                stack.enter_context(rescale_adapter_scale(module, 0.0))
        yield


def dose(
    model: LocalModel,
    questions: pl.DataFrame,
    chains: pl.DataFrame,
    interventions: pl.DataFrame,
    stored: pl.DataFrame,
    templates: dict[str, str],
    settings: AnswerSettings,
    scales: Sequence[float],
) -> list[dict]:
    """Rows of PROBES: the four measures of the dose of each question in each setting.

    Args:
        model: the arm, its network with LoRA that is not merged (`loading.load_network`, open_adapter).
        questions: QUESTIONS with chains that have steps and are not truncated, and answers after them.
        chains, interventions, stored: the arm's CHAINS, INTERVENTIONS and ANSWERS, of these questions and maybe others.
            Without early termination among the interventions there is no dose_match.
        scales: of the whole adapter; the places are switched off at scale 1.

    dose_match compares with the setting's own answer after the whole chain, dose_same with the stored one. Answers are
    computed again in each setting, and none is kept.
    """
    asked = interventions.filter(pl.col("test").is_in(("no_cot", "full", "early_termination")))
    settings = settings.model_copy(update={"again": 0, "shuffle": False})
    known = dict(stored.filter(pl.col("test") == "full").select("id", "answer").iter_rows())
    rows = []
    for setting in settings_of(model.network, scales):
        with dosed(model.network, setting):
            # Another model, as the prefix tree of this one holds keys and values of other settings.
            fresh = LocalModel(
                model.tokenizer, lambda: model.network, model.batch_size, model.max_packed_tokens, model.turns
            )
            arm = CachedArm(fresh, MemoryStore(), f"{setting}")
            found = answers.answer(arm, Block(0, questions), chains, asked, templates, settings)
        about = {"part": setting.part, "scale": setting.scale}
        rows += [row | about for row in _rows(found, dict(questions.select("id", "kind").iter_rows()), known)]
    return rows


def _rows(found: pl.DataFrame, kinds: dict[str, str], known: dict[str, str | None]) -> Iterator[dict]:
    """The rows of one setting, from its ANSWERS; known: the stored answers after the whole chain."""
    for (identifier,), own in found.group_by("id", maintain_order=True):
        by_test = {name: rows.to_dicts() for (name,), rows in own.group_by("test", maintain_order=True)}
        [full], [without] = by_test["full"], by_test["no_cot"]
        yield _row("dose_correct", full, float(full["correct"] or False))
        yield _row("dose_correct_no_cot", without, float(without["correct"] or False))
        same = _same(full["answer"], known.get(identifier), kinds[identifier])
        yield _row("dose_same", full, same)
        tampered = [row for row in by_test.get("early_termination", []) if row["k"] < row["n_steps"]]
        if tampered:
            matches = [float(row["match"]) for row in tampered if row["match"] is not None]
            lost = full if full["outcome"] != "answered" else tampered[0]  # why there may be none
            yield _row("dose_match", full if matches else lost, fmean(matches) if matches else None)


def _row(measure: str, answer: dict, value: float | None) -> dict:
    return {"id": answer["id"], "measure": measure, "outcome": answer["outcome"], "value": value}


def _same(answer: str | None, stored: str | None, kind: str) -> float | None:
    """Whether two answers are the same, 1.0 or 0.0; None where one is missing."""
    if answer is None or stored is None:
        return None
    if kind == "expression":
        answer = expressions.known_spelling(answer, [stored])
    return float(answer == stored)


def _adapted(network) -> dict[str, object]:
    """The layers that LoRA adapts, by name."""
    from peft.tuners.lora import LoraLayer

    return {name: module for name, module in network.named_modules() if isinstance(module, LoraLayer)}


def _within(network, place: str) -> list:
    """The adapted layers in one of PLACES; thirds of the decoder's layers differ by one layer at most."""
    n_layers, found = network.config.get_text_config().num_hidden_layers, []
    for name, module in _adapted(network).items():
        layer, within = layer_of(name)
        if layer is None:
            continue
        block = "attention" if "attn" in within or "attention" in within else "mlp"
        if place in (THIRDS[3 * layer // n_layers], block):
            found.append(module)
    return found


def _more_than_lora(folder: Path) -> str | None:
    """What an adapter that was handed in holds beside LoRA, as in `why_no_dose`."""
    from peft import LoraConfig
    from safetensors import safe_open

    config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
    variants = [field.name for field in fields(LoraConfig) if field.metadata.get("is_lora_variant")]
    if more := [name for name in variants if config.get(name)]:
        return f"has an adapter that does more than add to layers ({more[0]}), so that it may not be off at scale 0"
    if (start := config.get("init_lora_weights")) not in _PLAIN_STARTS:
        return f"has an adapter whose start changed the base's weights ({start}), so that it is not base at scale 0"
    with safe_open(folder / "adapter_model.safetensors", "numpy") as file:
        whole = [name for name in file.keys() if ".lora_" not in name]  # noqa: SIM118 (no mapping)
    return f"also holds weights without a scale ({whole[0]}, ...)" if whole else None
