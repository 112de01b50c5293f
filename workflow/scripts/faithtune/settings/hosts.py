"""The sections `models.NAME.api` and `models.NAME.served`: a model at a host."""

from typing import Annotated, Any, Literal

from pydantic import Field

from faithtune.settings.section import ArmName, Integer, NotBlank, Number, OptionalInteger, Section, Unique, form

# Not quoted in errors, because a user may give the key itself by mistake.
Variable = Annotated[str, *form(r"[A-Za-z_][A-Za-z0-9_]*", "the name of an environment variable", quoted=False)]


class BatchSettings(Section):
    """Limits of a batch, and of all batches together."""

    requests: Integer = Field(50_000, ge=1)
    """The most requests in a file."""
    bytes: Integer = Field(200_000_000, ge=1000)
    """The most bytes of a file."""
    enqueued_tokens: Integer = Field(2_000_000, ge=1)
    """The most prompt tokens in flight, in all batches of an arm; lower it if the host's queue is full."""


class ApiSettings(Section):
    """A model at a host that speaks the OpenAI API."""

    base_url: Annotated[str, *form(r"https?://[^@]+", "http:// or https:// and an address without a key")] | None = None
    """The host's address, up to and with /v1."""
    base_url_env: Variable | None = None
    """Instead of base_url: the environment variable with the address, which is not part of row keys."""
    api_key_env: Variable | None = None
    """The environment variable with the key; the key itself is written nowhere."""
    model: NotBlank
    """The host's name for the model, which is the arm base."""
    arms: dict[ArmName, NotBlank] = {}
    """The host's names for models tuned from it outside this study, by arm."""
    endpoint: Literal["chat", "completions"] = "chat"
    """`completions` continues the assistant's turn; `chat` repeats a chain in a closed turn."""
    abilities: Annotated[list[Literal["continue", "logprobs", "seed", "batch", "tune"]], Unique] = []
    """What the host can do; checked before the first call."""
    tokenizer: str | None = None
    """A folder with the model's tokenizer; it renders turns at completions and counts tokens."""
    top_logprobs: OptionalInteger = Field(None, ge=1, le=20)
    """The number of likeliest tokens to request for reading letters; by default 20 for chat and 5 for completions."""
    mode: Literal["calls", "batch"] = "calls"
    """`batch` uses the Batch endpoint, at its lower price."""
    batch: BatchSettings = BatchSettings()
    """Limits of the Batch endpoint."""
    concurrency: Integer = Field(8, ge=1, le=256)
    """Calls in flight at once."""
    timeout: Number = Field(120, gt=0)
    """The most seconds that a call may take."""
    extra: dict[str, Any] = {}
    """Further fields of every request."""


class ServedSettings(Section):
    """Your own server (vLLM) for the weights of `source`; you start it outside of the workflow."""

    base_url: None = None
    """Must not be given: the address comes from the environment."""
    base_url_env: Variable
    """The environment variable with the server's address, which is not part of row keys."""
    api_key_env: Variable | None = None
    """The environment variable with the server's key, if it needs one."""
    endpoint: Literal["completions"] = "completions"
    """Turns are continued."""
    abilities: Annotated[list[Literal["continue", "logprobs", "seed"]], Unique] = ["continue", "logprobs", "seed"]
    """What the server can do; checked before the first call."""
    tokenizer: None = None
    """Must not be given: the weights have one."""
    top_logprobs: Integer = Field(20, ge=1, le=20)
    """The number of likeliest tokens to request for reading letters."""
    mode: Literal["calls"] = "calls"
    """Such a server has no Batch endpoint."""
    concurrency: Integer = Field(64, ge=1, le=1024)
    """Calls in flight at once."""
    timeout: Number = Field(600, gt=0)
    """The most seconds that a call may take."""
    extra: dict[str, Any] = {"add_special_tokens": False}
    """Further fields of every request."""


class HostSettings(Section):
    """How a host is asked, and at what price. No row depends on it, so that a change makes no job stale."""

    section: Literal["api", "served"] = "api"
    """Where in the configuration its keys are."""
    base_url_env: str | None = None
    api_key_env: str | None = None
    mode: Literal["calls", "batch"] = "calls"
    batch: BatchSettings = BatchSettings()
    concurrency: int = 8
    timeout: float
    budget_usd: Number | None = None
    prices: str | dict | None = None
