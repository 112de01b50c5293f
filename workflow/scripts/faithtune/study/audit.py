"""A study in three keys, `base`, `tuned` and `questions`: expanded into the sections of an ordinary configuration.

Whatever reads a configuration does so by `study.config.load`, so that this is the one place that knows these keys.
"""

import contextlib
import difflib
import io
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from faithtune.core.errors import UserError, prefix_errors
from faithtune.data import reading, sources, splits
from faithtune.data.table import names
from faithtune.settings.configuration import AuditSettings, Configuration
from faithtune.settings.data import SplitSettings
from faithtune.settings.models import ModelSettings
from faithtune.study import plan, source_checks, validation
from faithtune.tuning import handed

# The name of the data set.
QUESTIONS = "questions"
# The name of a model that only rewords.
PARAPHRASER = "paraphraser"
_SECTIONS = ("models", "data_sets", "eval_sets")
_KEYS = AuditSettings.model_fields
_REQUIRED = {"base": "base=../my-model", "questions": "questions=exam.jsonl"}


class Expanded(NamedTuple):
    """A configuration with sections in place of the short keys."""

    raw: dict
    places: Mapping[str, str] = MappingProxyType({})  # place in the sections -> the short key that it comes from
    max_questions: int | None = None  # None without short keys


def expand(raw: dict) -> Expanded:
    """The configuration with sections in place of the short keys; `raw` itself where it has none.

    Reads the names of the columns of the file of questions. UserError if a key is wrong, or a section stands beside
    the keys.
    """
    if not isinstance(raw, dict) or not any(key in raw for key in _KEYS):
        return Expanded(raw)
    short = {key: value for key, value in raw.items() if _is_short(key) and value is not None}
    rest = {key: value for key, value in raw.items() if not _is_short(key)}
    for key in _SECTIONS:
        if key in rest:
            words = "expected one of them (the short keys follow --configfile config/audit.yaml)"
            raise UserError(f"config: {next(iter(short), 'base')} stands beside {key}; {words}")
    for key, example in _REQUIRED.items():
        if key not in short and short.keys() <= _KEYS.keys():
            raise UserError(f"config: {key} is missing; expected it, such as {example}")
    _check_misplaced(rest)
    given = validation.section(AuditSettings, short)
    model = given.base if isinstance(given.base, dict) else {"source": given.base}
    name = _name(model.get("source"), "model")
    places = {}  # the innermost first
    if given.tuned is not None:
        arm = given.tuned if isinstance(given.tuned, dict) else _tuned(given.tuned)
        arm_name = _name(arm.get("adapter") or arm.get("weights"), "tuned")
        model = model | {"tuned": {arm_name: arm}}
        places |= {f"models.{name}.tuned.{arm_name}": "tuned", f"models.{name}.tuned": "tuned"}
    places[f"models.{name}"] = "base"
    data_set = given.questions
    if isinstance(data_set, str):
        data_set = {"eval": {"source": data_set}}
        places[f"data_sets.{QUESTIONS}.eval"] = "questions"
    places[f"data_sets.{QUESTIONS}"] = "questions"
    with prefix_errors("config: questions"):
        data_set = _columns(data_set) | data_set
    models, paraphraser = {name: model}, rest.get("paraphraser")
    if isinstance(paraphraser, dict) and (rewriter := _rewriter(paraphraser.get("model"))):
        other = PARAPHRASER if name != PARAPHRASER else f"other_{PARAPHRASER}"
        models[other] = rewriter | {"measured": False}
        rest = rest | {"paraphraser": paraphraser | {"model": other}}
        places[f"models.{other}"] = "paraphraser.model"
    sections = {"models": models, "data_sets": {QUESTIONS: data_set}, "eval_sets": [QUESTIONS]}
    return Expanded(rest | sections, places, given.max_questions)


def _check_misplaced(rest: dict) -> None:
    """UserError for a key of a model at the top level, where `base` has it."""
    for key in rest:
        if key in ModelSettings.model_fields and key not in Configuration.model_fields:
            raise UserError(f"config: {key} is a key of base; expected base: {{source: ../my-model, {key}: …}}")


def _rewriter(model: object) -> dict | None:
    """The model that `paraphraser.model` gives by its source; None where it names a model."""
    if isinstance(model, dict):
        return model
    is_source = isinstance(model, str) and ("/" in model or ":" in model or model.endswith(".gguf"))
    return {"source": model} if is_source else None


@contextlib.contextmanager
def naming(places: Mapping[str, str]) -> Iterator[None]:
    """UserErrors of the block name the short keys (values) in place of the places that they were expanded to (keys)."""
    try:
        yield
    except UserError as error:
        message = str(error)
        for place, key in places.items():
            message = message.replace(place, key)
        raise type(error)(message) from None


def limit_questions(config: Configuration, most: int | None) -> None:
    """Ask at most `most` questions, unless they have an n of their own; None: there are no short keys.

    Reads all rows of a local file, as a job will do it, so that what is wrong with one ends the run before any job.
    """
    if most is None:
        return
    part = config.data_sets[QUESTIONS].eval
    if part.source is not None and sources.parse(part.source).kind == "file":
        asked = plan.selection(config, QUESTIONS, "eval")
        quiet = io.StringIO()  # the job will say which rows are left out
        with _naming_keys(part.source), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            read = splits.questions_of(asked, lambda name: reading.read(asked, name, asked.files[name].source)[0])
        if read.height <= most:
            return
    part.n = part.n or most


@contextlib.contextmanager
def _naming_keys(source: str) -> Iterator[None]:
    """An error that asks for a key says where it stands."""
    try:
        yield
    except UserError as error:
        where = f", in questions: {{KEY: VALUE, eval: {{source: {source}}}}}" if "the key " in str(error) else ""
        raise type(error)(f"config: {error}{where}") from None


def _tuned(source: str) -> dict:
    """The arm of a local folder: whole weights, unless it has an adapter's settings."""
    with prefix_errors("config: tuned"):
        parsed = sources.parse(source)
        if parsed.kind == "hub":
            raise UserError(f"{source} may be either; expected {{adapter: {source}}} or {{weights: {source}}}")
        folder = Path(source)
        if parsed.kind != "file" or not folder.is_dir():
            raise UserError(f"{source}: there is no such folder; expected one with an adapter or with whole weights")
        if (folder / handed.CONFIG).is_file():
            return {"adapter": source}
        if (folder / "config.json").is_file():
            return {"weights": source}
        raise UserError(f"{source}: neither {handed.CONFIG} nor config.json there; expected an adapter or a model")


def _columns(data_set: dict) -> dict:
    """The keys by which the rows of a data set are read, by the names in its file; none if it says so itself."""
    part = data_set.get("eval")
    source = part.get("source") if isinstance(part, dict) else None
    if not isinstance(source, str) or "columns" in data_set or data_set.get("reader", "table") != "table":
        return {}
    if sources.parse(source).kind != "file":
        raise UserError(f"the columns of {source} are not known yet; {_mapping(source)}")
    source_checks.check_rows(SplitSettings(source=source))
    records = sources.records(source)
    if not records:
        raise UserError(f"{source} has no rows; expected at least one question")
    try:
        return names.find(records)
    except UserError as error:
        raise UserError(f"{source}: {error}; {_mapping(source)}") from None


def _mapping(source: str) -> str:
    columns = "{question: COLUMN, options: COLUMN, answer: COLUMN}"
    return f"expected questions: {{columns: {columns}, eval: {{source: {source}}}}}"


def _is_short(key: object) -> bool:
    """Whether a key is a short one, or the misspelt name of one."""
    return key not in Configuration.model_fields and bool(difflib.get_close_matches(str(key), _KEYS, n=1))


def _name(source: object, otherwise: str) -> str:
    """A name for a model or an arm: the last part of its source, in the characters of names."""
    with contextlib.suppress(UserError):
        parsed = sources.parse(source) if isinstance(source, str) else None
        last = Path(parsed.member or parsed.location).name if parsed else ""
        name = re.sub(r"[^a-z0-9]+", "_", last.removesuffix(".gguf").lower()).strip("_")[:80]
        return name if name not in ("", "base", "all") else otherwise
    return otherwise
