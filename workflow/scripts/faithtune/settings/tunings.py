"""The sections `tunings` and `hosted_tunings`: each recipe tunes its models on each of its train_sets."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from faithtune.settings.section import (
    Flag,
    Integer,
    Number,
    OptionalInteger,
    OptionalNumber,
    Section,
    Share,
    TrainSet,
    Unique,
    WrongForm,
)


def _layers(value: Any) -> Any:
    names = isinstance(value, list) and value and all(isinstance(name, str) for name in value)
    if value != "all-linear" and not names:
        raise WrongForm("all-linear or a list of layer names")
    return value


class _Recipe(Section):
    """How a model is tuned on this machine."""

    method: Literal["qlora", "lora", "full"] = "qlora"
    """`qlora` (adapter on an nf4 base), `lora` (adapter on a base that is not quantised) or `full`."""
    rank: Integer = Field(16, ge=1, le=4096)
    """Rank of the adapter; a rank above a layer's width adds nothing."""
    alpha: OptionalNumber = Field(None, gt=0)
    """Scale of the adapter; by default twice the rank."""
    dropout: Number = Field(0.05, ge=0, lt=1)
    """Dropout before the adapter."""
    targets: Annotated[str | list[str], BeforeValidator(_layers)] = "all-linear"
    """Layers with an adapter: `all-linear` or a list of their names."""
    learning_rate: Number = Field(0.0002, gt=0)
    """Highest learning rate."""
    epochs: Number = Field(3, gt=0)
    """Passes over the training questions."""
    batch_size: Integer = Field(16, ge=1)
    """Examples per optimiser step."""
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
        self.alpha = 2 * self.rank if self.alpha is None else self.alpha
        self.micro_batch_size = self.micro_batch_size or self.batch_size
        return self


class TuningSettings(_Recipe):
    """A recipe that runs on this machine."""

    train_sets: Annotated[list[TrainSet], Unique] = Field(min_length=1)
    """The data sets to tune on, one arm each; `SET+SET` is one arm, tuned on the questions of both, shuffled."""
    models: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """The models to tune. By default the measured ones with a source, except those that come from an arm of this
    tuning, and besides them the models from whose arm of this tuning another model starts."""
    target: Literal["native", "rationale", "answer_only"] = "native"
    """What is learnt; `native` is the rationale if the data set consists of worked solutions, else the bare answer."""
    seeds: Annotated[list[Annotated[Integer, Field(ge=0, le=2**32 - 1)]], Unique] = Field([42], min_length=1)
    """Seeds of adapter, dropout and order; one arm each, pooled in the tables."""


class Training(_Recipe):
    """Everything that decides one training, except the model and the questions."""

    target: Literal["rationale", "answer_only"]
    """What is learnt."""
    seed: int
    """Seed of adapter, dropout and order."""
    quantisation: Literal["nf4", "none"]
    """How the base is loaded, for tuning and for measuring."""
    dtype: Literal["float32", "bfloat16", "float16"]
    """Type of weights and arithmetic."""
    code: str = ""
    """Hash of the code that trains."""


class _HostedRecipe(Section):
    """How a host tunes a model."""

    method: Literal["supervised", "dpo"] = "supervised"
    """`supervised`, or `dpo` (the right answer preferred to a wrong one), where the host has it."""
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


class HostedTuningSettings(_HostedRecipe):
    """A recipe of a host's fine-tuning endpoint."""

    train_sets: Annotated[list[TrainSet], Unique] = Field(min_length=1)
    """The data sets to tune on, one arm each; `SET+SET` is one arm, tuned on the questions of both, shuffled."""
    models: Annotated[list[str], Field(min_length=1), Unique] | None = None
    """The models to tune; by default all whose host can tune."""
    target: Literal["native", "rationale", "answer_only"] = "native"
    """What is learnt, as in tunings."""
    seeds: Annotated[list[Annotated[Integer, Field(ge=0)]], Unique] = Field([42], min_length=1)
    """Seeds of the host's job; one arm each, pooled in the tables."""


class HostedTraining(_HostedRecipe):
    """All that decides one training at a host, beside the model and the questions."""

    target: Literal["rationale", "answer_only"]
    """What is learnt."""
    seed: int
    """Seed of the host's job."""
