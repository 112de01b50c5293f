"""The section `compute`."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import Integer, OptionalInteger, Section


class ComputeSettings(Section):
    """How fast, not what: a change reruns nothing except sets that it divides into other shards."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; `auto` uses CUDA if there is a device."""
    threads: Integer = Field(1, ge=1)
    """CPU threads of a job that runs a model; parallel jobs use the cores better than threads."""
    tune_threads: OptionalInteger = Field(None, ge=1)
    """CPU threads of a tuning; by default half of the cores, or 2 with a GPU or on a cluster."""
    batch_size: Integer = Field(32, ge=1)
    """Texts generated at a time."""
    max_packed_tokens: OptionalInteger = Field(None, ge=1)
    """The most distinct tokens in memory; by default chosen from the machine's memory."""
    block_size: Integer = Field(512, ge=1)
    """The number of questions that are computed together."""
    shards: dict[str, Annotated[Integer, Field(ge=1)]] = {}
    """Evaluation sets to divide among several jobs, with the number of jobs."""
