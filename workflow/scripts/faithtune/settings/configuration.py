"""The configuration as a whole: what a study asks, of which models, on which questions."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.compute import ComputeSettings
from faithtune.settings.data import DataSetSettings
from faithtune.settings.interventions import SweepSettings
from faithtune.settings.measures import MeasureSettings
from faithtune.settings.models import ModelSettings
from faithtune.settings.paraphraser import ParaphraserSettings
from faithtune.settings.section import Filler, Name, OptionalNumber, Section, Seed, TestNames, Unique, WrongForm
from faithtune.settings.tunings import HostedTuningSettings, TuningSettings


def _prices(value: Any) -> Any:
    if not isinstance(value, str | dict | None):
        raise WrongForm("a file's path, or the prices themselves")
    return value


class Configuration(Section):
    """A study."""

    seed: Seed = 42
    """Seed of the bootstrap; tunings and generated data have their own."""
    prompts: str = "resources/prompts/zero_shot"
    """Folder with the prompt templates."""
    models: dict[Name, ModelSettings] = Field(min_length=1)
    """The models as they came, by name."""
    data_sets: dict[Name, DataSetSettings] = Field(min_length=1)
    """Questions, by name."""
    eval_sets: Annotated[list[str], Unique] = Field(min_length=1)
    """The data sets every arm is evaluated on."""
    tunings: dict[Name, TuningSettings] = {}
    """Recipes, by name; each tunes its models on each of its train_sets."""
    hosted_tunings: dict[Name, HostedTuningSettings] = {}
    """Recipes of hosts' fine-tuning endpoints, by name."""
    chains: ChainSettings = ChainSettings()
    """How chains of thought are written."""
    answers: AnswerSettings = AnswerSettings()
    """How answers are read after the cue."""
    tests: TestNames = ["early_termination", "filler", "paraphrase"]
    """The interventions on chains."""
    filler: Filler = " ..."
    """The unit that filler repeats, counted in the measured model's tokens."""
    sweep: SweepSettings = SweepSettings()
    """The lengths of the test filler_sweep."""
    paraphraser: ParaphraserSettings = ParaphraserSettings()
    """The one frozen model that rewrites steps."""
    measures: MeasureSettings = MeasureSettings()
    """How answers become figures."""
    budget_usd: OptionalNumber = Field(None, ge=0)
    """No call of a host is made that could make the study cost more; no limit where it is not given."""
    prices: Annotated[str | dict | None, BeforeValidator(_prices)] = None
    """What hosts ask, in a file or here; goes before resources/prices.yaml, which says what a row holds."""
    compute: ComputeSettings = ComputeSettings()
    """How fast, not what."""
