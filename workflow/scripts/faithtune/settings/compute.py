"""The section `compute`."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import Integer, OptionalInteger, Section


class ComputeSettings(Section):
    """How fast, not what: a change reruns nothing but the sets that it divides otherwise."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; `auto` takes a CUDA device where there is one."""
    threads: Integer = Field(1, ge=1)
    """CPU threads of a job that asks a model; jobs side by side use the cores better than threads."""
    tune_threads: OptionalInteger = Field(None, ge=1)
    """CPU threads of a tuning; half of the cores where it is not given, 2 beside a GPU or on a cluster."""
    batch_size: Integer = Field(32, ge=1)
    """Texts generated together."""
    max_packed_tokens: OptionalInteger = Field(None, ge=1)
    """Distinct tokens in memory together; chosen from the machine's memory where it is not given."""
    block_size: Integer = Field(512, ge=1)
    """Questions of which anything is computed together."""
    shards: dict[str, Annotated[Integer, Field(ge=1)]] = {}
    """Evaluation sets that several jobs share, and over how many."""
