"""The section `data_sets`: where questions come from."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import Number, OptionalInteger, Section, Seed


class SourceFile(Section):
    """A file of somebody's, local or fetched."""

    source: str
    """`wheel:NAME==VERSION:PATH`, `url:ADDRESS`, `hub:ID@COMMIT:CONFIG/SPLIT` or a local file."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the file (of the wheel for wheel sources)."""


class SplitSettings(Section):
    """The questions of one split."""

    source: str | None = None
    """`wheel:NAME==VERSION:PATH`, `url:ADDRESS`, `hub:ID@COMMIT:CONFIG/SPLIT` or a local file; none where the reader
    generates its questions."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the file (of the wheel for wheel sources)."""
    n: OptionalInteger = Field(None, ge=1)
    """How many questions: a random sample, which a larger n contains; all where it is not given."""


class DataSetSettings(Section):
    """A data set: who reads it, and its splits."""

    reader: str | None = None
    """Module of `faithtune.data.readers` that reads the source; the data set's own name where none is given."""
    train: SplitSettings | None = None
    """The questions that models are tuned on."""
    eval: SplitSettings | None = None
    """The questions that models are measured on."""
    train_share: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """Where train and eval name one source: the share of its questions that may be trained on."""
    seed: Seed = 0
    """Seed of generated questions."""

    def split(self, name: str) -> SplitSettings | None:
        """Its split `train` or `eval`; None where it has none."""
        return {"train": self.train, "eval": self.eval}[name]


class SplitSelection(Section):
    """All that decides the questions of one split, and nothing of the other split's size."""

    data_set: str
    split: Literal["train", "eval"]
    reader: str
    seed: int
    train_share: Number
    n: int | None
    files: dict[Literal["train", "eval"], SplitSettings]
    """Both splits' sources, without their n."""

    @property
    def one_source(self) -> bool:
        """Whether both splits are cut out of one source."""
        return len(self.files) == 2 and self.files["train"].source == self.files["eval"].source
