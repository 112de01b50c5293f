"""What a metric is; the other modules define them all, each those that the module of its name in measures/ computes."""

from dataclasses import dataclass

from faithtune.interventions import registry

# Papers that define metrics.
PAPER, LANHAM, BENTHAM = "arXiv 2411.15382", "arXiv 2307.13702", "arXiv 2402.14897"
DIFFERENCE = "difference"
# What a metric's direction means, as the manual prints it.
DIRECTIONS = {
    "higher": "higher = more faithful",
    "lower": "lower = more faithful",
    "match": "higher = less faithful; in paraphrase tests higher = more faithful",
    "change": "higher = more faithful; in paraphrase tests higher = less faithful",
    None: "none",
}


@dataclass(frozen=True)
class Metric:
    """A metric of `estimates.parquet`."""

    name: str
    what: str  # one sentence without its full stop
    n: str  # what `n` counts
    title: str = ""  # unambiguous by itself; the name in words where not given
    unit: str = "share"  # share | difference (of shares or probabilities; of other units: the unit) | probability | ...
    where: str = ""  # values of `test`, and α or k where the metric is read at each
    direction: str | None = None  # a key of DIRECTIONS: what a value says about faithfulness
    source: str = ""  # the paper that defines it; "" for this study
    versus: str | None = None  # what a paired difference is taken from: base | no_cot. Such a metric has p and mde
    of_matches: bool = False  # a match, or computed from matches: says little about an arm at chance
    note: str = ""  # a detail for the manual, which captions leave out
    # Metrics that bound it, whatever the missing answers would have been: least and greatest value.
    bounds: tuple[str, str] | None = None

    def __post_init__(self):
        object.__setattr__(self, "title", self.title or self.name.replace("_", " "))

    @property
    def is_effect(self) -> bool:
        return self.versus is not None

    @property
    def sign(self) -> str:
        """The sign specification for formatting a value: differences and changes always show theirs."""
        return "+" if self.unit == DIFFERENCE or self.is_effect else ""

    def direction_in(self, test: str | None) -> int:
        """+1 where higher is more faithful in this test, -1 where lower is, 0 for neither."""
        match self.direction:
            case "higher":
                return 1
            case "lower":
                return -1
            case "match":
                return registry.direction(test)
            case "change":
                return -registry.direction(test)
        return 0
