"""The sections `tunings` and `hosted_tunings`: each recipe tunes its models on each of its train_sets."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from faithtune.settings.chains import SamplingSettings
from faithtune.settings.data import TrainSets
from faithtune.settings.section import (
    Flag,
    Integer,
    Number,
    OptionalInteger,
    OptionalNumber,
    Section,
    Share,
    Unique,
    WrongForm,
    from_text,
)

METHODS = ("sft", "dpo", "kto", "orpo", "grpo")
# Methods that need a wrong answer to each question.
WITH_WRONG_ANSWERS = ("dpo", "kto", "orpo")
ADAPTERS = ("qlora", "lora", "rslora", "dora", "ia3", "full")
# Adapters of low rank: two thin matrices a layer.
LOW_RANK = ("qlora", "lora", "rslora", "dora")
# The default learning rate of a method, by its adapter.
LEARNING_RATES = {
    "sft": dict.fromkeys(LOW_RANK, 2e-4)  # QLoRA (arXiv 2305.14314), table 9: models up to 13B
    | {"ia3": 3e-3}  # T-Few (arXiv 2205.05638), section 3.3
    | {"full": 2e-5},  # TRL's default; ten times less than an adapter of low rank, as all weights move
} | dict.fromkeys(
    ("dpo", "kto", "orpo", "grpo"),
    # TRL's default is for full tuning; adapters take ten times as much, IA3's few factors still more.
    dict.fromkeys(LOW_RANK, 1e-5) | {"ia3": 1e-4, "full": 1e-6},
)


def _layers(value: Any) -> Any:
    names = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if value not in ("all-linear", None) and not names:
        raise WrongForm("all-linear or a list of layer names")
    return value


def _method(value: Any) -> Any:
    if value in ADAPTERS:
        raise WrongForm(f"adapter: {value}, because a method is what the training optimises: {', '.join(METHODS)}")
    return value


class GrpoSettings(Section):
    """How `grpo` has a model write chains, and what it rewards."""

    generations: Integer = Field(8, ge=2)
    """Chains written for a question, which are compared with each other."""
    max_new_tokens: Integer = Field(256, ge=1)
    """Tokens of a chain; a longer one is truncated, and gets no reward."""
    temperature: Number = Field(1.0, gt=0)
    """Temperature at which chains are drawn."""
    form_reward: Number = Field(0.1, ge=0, lt=1)
    """Reward of a chain that declares a wrong answer; a right one gets 1, none or a truncated chain 0."""


class _Recipe(Section):
    """How a model is tuned on this machine."""

    method: Annotated[Literal[METHODS], BeforeValidator(_method)] = "sft"
    """What the training optimises: `sft` (the likelihood of worked solutions or answers), `dpo`, `kto`, `orpo`
    (right completions before wrong ones) or `grpo` (the reward of chains that the model writes)."""
    adapter: Literal[ADAPTERS] = "qlora"
    """What is trained: `qlora` (LoRA on an nf4 base), `lora` (on a base that is not quantised), `rslora`, `dora`,
    `ia3` (on either) or `full` (all weights)."""
    rank: Integer = Field(16, ge=1, le=4096)
    """Rank of the adapter; a rank above a layer's width adds nothing. `ia3` has none."""
    alpha: OptionalNumber = Field(None, gt=0)
    """Scale of the adapter; by default twice the rank, and 8 for `rslora`, which scales as `lora` does at rank 16."""
    dropout: OptionalNumber = Field(None, ge=0, lt=1)
    """Dropout before an adapter of low rank; by default 0.05 for `sft`, and 0 for the other methods, most of which
    compare with a reference that dropout would blur."""
    targets: Annotated[str | list[str] | None, BeforeValidator(_layers)] = None
    """Layers with an adapter: `all-linear` or a list of their names; by default `all-linear`, and for `ia3` the
    layers of its paper: keys, values and the second layer of the feed-forward block."""
    learning_rate: OptionalNumber = Field(None, gt=0)
    """Highest learning rate; the default depends on [method and adapter](../tunings.md#learning-rates)."""
    beta: OptionalNumber = Field(None, ge=0)
    """For `dpo`, `kto`, `orpo` and `grpo`: how close the result stays to the base (of `orpo`: the weight of the
    preference); by default 0.1, and for `grpo` 0 (no reference), as in TRL."""
    grpo: GrpoSettings | None = None
    """For `grpo`: how chains are written and rewarded."""
    epochs: Number = Field(3, gt=0)
    """Passes over the training questions."""
    batch_size: Integer = Field(16, ge=1)
    """Examples per optimiser step; of `grpo` questions, of `dpo` and `orpo` pairs."""
    micro_batch_size: OptionalInteger = Field(None, ge=1)
    """Examples in memory at a time; must divide batch_size, its default."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """How the learning rate falls."""
    warmup: Share = 0.03
    """Share of the steps in which the learning rate rises."""
    weight_decay: Number = Field(0, ge=0)
    """Weight decay of AdamW."""
    gradient_checkpointing: Flag = False
    """Saves memory at the cost of time."""
    checkpoint_steps: Integer = Field(25, ge=1)
    """Steps between checkpoints: the most that a killed training loses."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.alpha is None:
            self.alpha = 8 if self.adapter == "rslora" else 2 * self.rank
        self._complete_method()
        if self.targets is None and self.adapter != "ia3":
            self.targets = "all-linear"
        if self.learning_rate is None:
            self.learning_rate = LEARNING_RATES[self.method][self.adapter]
        self.micro_batch_size = self.micro_batch_size or self.batch_size
        return self

    def _complete_method(self) -> None:
        if self.method == "grpo" and self.grpo is None:
            self.grpo = GrpoSettings()
        if self.method != "sft" and self.beta is None:
            self.beta = 0 if self.method == "grpo" else 0.1
        if self.dropout is None:
            self.dropout = 0.05 if self.method == "sft" and self.adapter in LOW_RANK else 0


class OwnSettings(SamplingSettings):
    """For `target: own`: how the model's own chains are drawn, and how many of them are learnt."""

    keep: Integer = Field(1, ge=1, le=1000)
    """The most chains that are learnt of a question, the first different ones that are right."""

    @property
    def sampling(self) -> SamplingSettings:
        """How the chains are drawn."""
        return SamplingSettings(samples=self.samples, temperature=float(self.temperature), seed=self.seed)


def _checkpoints(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    numbers = [from_text(one) for one in value]
    if not numbers or not all(isinstance(one, int | float) and not isinstance(one, bool) for one in numbers):
        raise WrongForm("a list of steps such as [50, 100], or of shares such as [0.25, 0.5]")
    return {"shares" if any(isinstance(one, float) for one in numbers) else "steps": numbers}


class _Asked(Section):
    """What the states of a training are asked."""

    eval_sets: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """On which of the evaluation sets they are measured; by default on all."""
    n: OptionalInteger = Field(None, ge=1)
    """Questions of each set, the first of those that other arms are asked; by default all."""


class CheckpointSettings(_Asked):
    """Which states of a training are arms of their own, and what they are asked; a list is `steps` or `shares`."""

    steps: Annotated[list[Annotated[Integer, Field(ge=1)]], Field(min_length=1), Unique] | None = None
    """After so many optimiser steps."""
    shares: Annotated[list[Annotated[Number, Field(ge=0.001, lt=1)]], Field(min_length=1), Unique] | None = None
    """After such shares of the training's steps."""
    log: OptionalInteger = Field(None, ge=1, le=30)
    """So many, after 1, 2, 4, 8 … steps."""

    @property
    def places(self) -> list[str]:
        """How arms name them: steps as they are, shares as 0p25."""
        if self.shares is not None:
            return [f"{float(share):g}".replace(".", "p") for share in self.shares]
        return [str(step) for step in (self.steps or [2**i for i in range(self.log)])]


class TuningSettings(_Recipe):
    """A recipe that runs on this machine."""

    train_sets: TrainSets
    """The data sets to tune on, one arm each. `SET+SET` is one arm, tuned on the questions of both, shuffled; `{name:
    NAME, of: {SET: SHARE, …}}` is one arm, tuned on [shares of several](../tunings.md#mixtures)."""
    n: OptionalInteger = Field(None, ge=1)
    """Training examples, a random sample that a larger n contains; by default all."""
    vary: dict[str, list] | None = None
    """A grid: keys of this recipe, each with a list of values. [Each combination](../tunings.md#vary) is a tuning of
    its own."""
    models: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """The models to tune. By default the measured ones with a source, except those that come from an arm of this
    tuning, and besides them the models from whose arm of this tuning another model starts."""
    target: Literal["native", "rationale", "answer_only", "own"] = "native"
    """What is learnt; `native` is the rationale of each data set that consists of worked solutions, and the bare answer
    of others; `own` are chains that the model itself draws and that end in the right answer."""
    own: OwnSettings | None = Field(None, exclude_if=lambda value: value is None)  # other recipes are what they were
    """For `target: own`: how the model's own chains are drawn, and how many of them are learnt."""
    seeds: Annotated[list[Annotated[Integer, Field(ge=0, le=2**32 - 1)]], Unique] = Field([42], min_length=1)
    """Seeds of adapter, dropout and order; one arm each, pooled in the tables."""
    checkpoints: Annotated[CheckpointSettings | None, BeforeValidator(_checkpoints)] = Field(
        None, exclude_if=lambda value: value is None
    )
    """States of the training that are measured as [arms of their own](../tunings.md#checkpoints): steps, shares, or
    `{log: 8}` for the steps 1, 2, 4 … 128."""

    @model_validator(mode="after")
    def _complete_own(self) -> Self:
        self.own = OwnSettings() if self.target == "own" and self.own is None else self.own
        return self


class Training(_Recipe):
    """Everything that decides one training, except the model and the questions."""

    target: Literal["rationale", "answer_only", "own", "mixed"]
    """What is learnt; `mixed`: each data set's own target."""
    own: OwnSettings | None = Field(None, exclude_if=lambda value: value is None)  # part of an arm's identity
    """For target own: how the chains were drawn."""
    seed: int
    """Seed of adapter, dropout and order."""
    quantisation: Literal["nf4", "none"]
    """How the base is loaded, for tuning and for measuring."""
    dtype: Literal["float32", "bfloat16", "float16"]
    """Type of weights and arithmetic."""
    forced_start: bool = True
    """Whether chains begin with "Step 1:" in the prompt, as those of the evaluation; only `grpo` writes any."""
    code: str = ""
    """Hash of the code that trains."""


def _hosted_method(value: Any) -> Any:
    if value == "supervised":
        raise WrongForm("sft, the word for it in all tunings")
    return value


class _HostedRecipe(Section):
    """How a host tunes a model."""

    method: Annotated[Literal["sft", "dpo"], BeforeValidator(_hosted_method)] = "sft"
    """`sft`, or `dpo` (the right answer preferred to a wrong one), where the host has it."""
    validation_share: Number = Field(0.1, ge=0, lt=1)
    """Share of the training questions that form the host's validation file."""
    n_epochs: OptionalInteger = Field(None, ge=1)
    """Passes over the training questions; by default the host chooses, but a budget requires a number."""
    batch_size: OptionalInteger = Field(None, ge=1)
    """Examples per optimiser step; by default the host chooses."""
    learning_rate_multiplier: OptionalNumber = Field(None, gt=0)
    """Factor on the host's learning rate; by default the host chooses."""
    beta: OptionalNumber = Field(None, gt=0)
    """For dpo: how close the result stays to the model before tuning; by default the host chooses."""


class HostedCheckpointSettings(_Asked):
    """Which states of a host's training are arms of their own, and what they are asked; a list is `epochs`."""

    epochs: Annotated[list[Annotated[Integer, Field(ge=1)]], Field(min_length=1), Unique]
    """After so many passes over the training questions, fewer than n_epochs."""

    @property
    def places(self) -> list[str]:
        """How arms name them."""
        return [str(epoch) for epoch in self.epochs]


class HostedTuningSettings(_HostedRecipe):
    """A recipe of a host's fine-tuning endpoint."""

    train_sets: TrainSets
    """The training sets, as in tunings; shares are of examples."""
    n: OptionalInteger = Field(None, ge=1)
    """Training examples, validation included: a random sample that a larger n contains; by default all."""
    vary: dict[str, list] | None = None
    """A grid, as in tunings."""
    models: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """The models to tune; by default all whose host can tune."""
    target: Literal["native", "rationale", "answer_only"] = "native"
    """What is learnt, as in tunings."""
    seeds: Annotated[list[Annotated[Integer, Field(ge=0)]], Unique] = Field([42], min_length=1)
    """Seeds of the host's job; one arm each, pooled in the tables."""
    checkpoints: Annotated[
        HostedCheckpointSettings | None,
        BeforeValidator(lambda value: {"epochs": value} if isinstance(value, list) else value),
    ] = Field(None, exclude_if=lambda value: value is None)
    """States of the training that are measured as [arms of their own](../hosts-and-costs.md#checkpoints-of-a-host):
    the ends of epochs before the last, such as `[1, 2]`, where the host keeps them."""


class HostedTraining(_HostedRecipe):
    """All that decides one training at a host, beside the model and the questions."""

    target: Literal["rationale", "answer_only", "mixed"]
    """What is learnt; `mixed`: each data set's own target."""
    seed: int
    """Seed of the host's job."""
