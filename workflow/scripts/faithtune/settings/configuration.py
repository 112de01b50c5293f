"""The whole configuration of a study, and the short keys that may stand in place of some of its sections."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.compute import ComputeSettings
from faithtune.settings.data import DataSetSettings
from faithtune.settings.interventions import ParaphraserSettings, SweepSettings
from faithtune.settings.measures import MeasureSettings
from faithtune.settings.models import ModelSettings
from faithtune.settings.optional import CrossingSettings, ProbeSettings, ShiftSettings
from faithtune.settings.section import (
    Filler,
    Integer,
    Name,
    OptionalNumber,
    Section,
    Seed,
    TestNames,
    Unique,
    WrongForm,
    from_text,
)
from faithtune.settings.tunings import HostedTuningSettings, TuningSettings


def _optional(value: Any) -> Any:
    value = from_text(value)
    return ({} if value else None) if isinstance(value, bool) else value


def _prices(value: Any) -> Any:
    if not isinstance(value, str | dict | None):
        raise WrongForm("a file's path, or a mapping of prices")
    return value


class Configuration(Section):
    """A study."""

    seed: Seed = 42
    """Seed of the bootstrap; tunings and generated data have seeds of their own."""
    prompts: str = "resources/prompts/zero_shot"
    """Folder with the prompt templates."""
    models: dict[Name, ModelSettings] = Field(min_length=1)
    """The models, by name."""
    data_sets: dict[Name, DataSetSettings] = Field(min_length=1)
    """Questions, by name."""
    eval_sets: Annotated[list[str], Unique] = Field(min_length=1)
    """The data sets on which every arm is evaluated."""
    tunings: dict[Name, TuningSettings] = {}
    """Recipes by name; each tunes its models on each of its train_sets."""
    hosted_tunings: dict[Name, HostedTuningSettings] = {}
    """Recipes for hosts' fine-tuning endpoints, by name."""
    chains: ChainSettings = ChainSettings()
    """How chains of thought are written."""
    answers: AnswerSettings = AnswerSettings()
    """How answers are read after the cue."""
    shifts: dict[Name, ShiftSettings] = {}
    """Evaluation sets [in other forms](../tests-and-measures.md#other-forms), by name: each arm is asked them as well,
    and they stand in a table of their own."""
    crossing: Annotated[CrossingSettings | None, BeforeValidator(_optional)] = None
    """`true`, or a section: arms also answer after the chains of other arms, which tells [what chains and what their
    reading](../tests-and-measures.md#writer-and-reader) contribute to a change. By default they do not."""
    probes: Annotated[ProbeSettings | None, BeforeValidator(_optional)] = None
    """`true`, or a section: [what tuning changed inside](../mechanism.md), where weights are here. By default nothing
    is looked at."""
    tests: TestNames = ["early_termination", "filler", "paraphrase"]
    """The interventions on chains."""
    filler: Filler = " ..."
    """The text that filler repeats; its length is counted in the measured model's tokens."""
    sweep: SweepSettings = SweepSettings()
    """The lengths of the test filler_sweep."""
    paraphraser: ParaphraserSettings = ParaphraserSettings()
    """The frozen model that rewrites steps."""
    measures: MeasureSettings = MeasureSettings()
    """How answers become estimates."""
    budget_usd: OptionalNumber = Field(None, ge=0)
    """The most that the study may cost at hosts: calls that could exceed it are not made; by default no limit."""
    prices: Annotated[str | dict | None, BeforeValidator(_prices)] = None
    """Prices of hosts, as a file or here; they override resources/prices.yaml, which describes their format."""
    compute: ComputeSettings = ComputeSettings()
    """How fast; it changes results by rounding only."""


def _given(words: str) -> BeforeValidator:
    """A text that is not blank, or a mapping; words: say what is expected."""

    def check(value: Any) -> Any:
        if not (isinstance(value, dict) or (isinstance(value, str) and value.strip())):
            raise WrongForm(words)
        return value

    return BeforeValidator(check)


class AuditSettings(Section):
    """A study in three keys; they stand in place of `models`, `data_sets` and `eval_sets`."""

    base: Annotated[str | dict[str, Any], _given("a model's source, or a mapping with the key source")]
    """The model: its `source`, or a mapping of [its keys](#modelsname) such as `{source: ../my-model, quantisation:
    none}`."""
    tuned: Annotated[str | dict[str, Any], _given("a folder, or a mapping with the key adapter or weights")] | None = (
        None
    )
    """What was tuned from it: the folder of an adapter or of whole weights, or a mapping of [its
    keys](#modelsnametunedname), for the hub `{adapter: hub:ID@COMMIT}`; without it the model is measured as it is."""
    questions: Annotated[str | dict[str, Any], _given("a file, or a mapping with the key eval")]
    """The questions: a file whose columns have usual names, or a mapping of [its keys](#data_setsname)."""
    max_questions: Integer = Field(100, ge=1)
    """The most questions that are asked, a random sample, where `questions` says no `n`."""
