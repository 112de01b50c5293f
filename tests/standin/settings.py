"""What can be set about the host, at the start or while it runs."""

from dataclasses import dataclass, field

# Each can be missing. Without `logprobs` and `seed` the fields are silently ignored, as some servers do;
# without any other, its endpoints are not found.
ABILITIES = ("chat", "completions", "logprobs", "seed", "batch", "tune")


@dataclass
class Settings:
    key: str | None = "sk-standin-4f1b8c2d9e7a6053"  # None: an open server
    models: dict[str, dict] = field(default_factory=lambda: {"gpt-standin": {}})
    aliases: dict[str, str] = field(default_factory=dict)  # other names of them: the host answers with the model's own
    abilities: list[str] = field(default_factory=lambda: list(ABILITIES))
    extra: list[str] = field(default_factory=list)  # body fields known beside the API's own
    refused: list[str] = field(default_factory=list)  # body fields this host's models do not support
    latency: float = 0.0  # seconds a completion takes
    context: int = 1_000_000  # tokens of prompt and answer together
    reasoning_tokens: int = 0  # hidden ones each answer is charged for
    chat_logprobs: int = 20  # the most candidates a token
    completion_logprobs: int = 5
    # Batches
    max_requests: int = 50_000
    max_bytes: int = 200_000_000
    max_enqueued_tokens: int = 1_000_000_000
    # Batches, jobs and files
    metadata: bool = True  # kept of batches and jobs
    file_looks: int = 0  # retrievals of an uploaded file until it can be used
    file_fault: str | None = None  # what is wrong with the files that are uploaded
    # Batches and jobs go one step further each time they are retrieved; or only when the test says so.
    by_hand: bool = False
    # Fine-tuning
    methods: list[str] = field(default_factory=lambda: ["supervised", "dpo"])
    min_examples: int = 10

    def change(self, **values: object) -> None:
        for name, value in values.items():
            if not hasattr(self, name):
                raise TypeError(f"{name} is no setting")
            setattr(self, name, value)
