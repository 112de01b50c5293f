"""The configuration: checked against its schema and completed.

Whatever can be wrong is found here, before any job starts, and told in one line.
"""

import contextlib
import difflib
import json
import math
from pathlib import Path

import jsonschema

from faithtune import data, guards, sources, study
from faithtune.errors import UserError
from faithtune.redaction import redacted

# Fields of a request that the study decides.
_OWN_FIELDS = (
    "model",
    "messages",
    "prompt",
    "max_tokens",
    "temperature",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "stop",
    "stream",
    "echo",
)

_EXPECTED = {
    "minimum": "at least {}",
    "maximum": "at most {}",
    "exclusiveMinimum": "more than {}",
    "exclusiveMaximum": "less than {}",
    "minItems": "at least {} item(s)",
    "maxItems": "at most {} item(s)",
    "minProperties": "at least {} entry",
    "pattern": "text of the form {}",
    "type": "{}",
    "const": "{}",
}


def load(raw: dict, schema: dict) -> dict:
    """`raw` with all defaults filled in; UserError naming the first key that is wrong."""
    raw = _typed(raw, schema, schema)
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(raw), key=jsonschema.exceptions.relevance)
    if error is not None:
        raise UserError(_message(error))
    config = _completed(raw, schema, schema)
    named = {kind: [] for kind in (*study.KINDS, None)}
    for name, model in config["models"].items():
        named[study.kind(model)].append(name)
    config["paraphraser"].setdefault("model", next(iter([*named["source"], *named["api"], *named["oracle"]]), None))
    for tuning in config["tunings"].values():
        tuning.setdefault("models", named["source"])
        tuning.setdefault("alpha", 2 * tuning["rank"])
        tuning.setdefault("micro_batch_size", tuning["batch_size"])
    for name, data_set in config["data_sets"].items():
        data_set.setdefault("reader", name)
    _check_sets(config)
    _check_models(config)
    _check_paraphraser(config)
    _check_tunings(config)
    _check_prompts(config)
    return config


def _message(error: jsonschema.ValidationError) -> str:
    where = ".".join(map(str, error.absolute_path)) or "the top level"
    found = redacted(f"config: {where} is {error.instance!r}")
    limit = error.validator_value
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"config: unknown key {unknown!r} in {where}; {hint}"
    if error.validator == "required":
        missing = [key for key in limit if key not in error.instance]
        return f"config: {where} lacks the key {missing[0]!r}"
    if error.validator == "enum":
        return f"{found}; expected one of {', '.join(map(str, limit))}"
    if error.validator == "oneOf":
        return f"{found}; expected all-linear or a list of layer names"
    if error.validator == "uniqueItems":
        return f"{found}; expected no item twice"
    return f"{found}; expected {_EXPECTED[error.validator].format(limit)}"


def _typed(value, schema: dict, root: dict):
    """`value` with numbers for text where the schema wants them: nested values of --config arrive as text."""
    schema = _resolved(schema, root)
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"config: {value} stands where a number is expected")
    if isinstance(value, float) and value.is_integer() and schema.get("type") == "integer":
        return int(value)
    if isinstance(value, dict):
        return {key: _typed(part, _part(schema, key), root) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(item, schema.get("items", {}), root) for item in value]
    if isinstance(value, str) and schema.get("type") in ("integer", "number", "boolean"):
        with contextlib.suppress(ValueError):
            read = json.loads(value)
            return value if isinstance(read, dict | list) else read
    return value


def _completed(value, schema: dict, root: dict):
    """`value` with the defaults of its schema, at every depth."""
    schema = _resolved(schema, root)
    if not isinstance(value, dict):
        return value
    defaults = {key: part["default"] for key, part in schema.get("properties", {}).items() if "default" in part}
    return {key: _completed(part, _part(schema, key), root) for key, part in (defaults | value).items()}


def _resolved(schema: dict, root: dict) -> dict:
    return root["$defs"][schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema


def _part(schema: dict, key: str) -> dict:
    """The schema of an object's key."""
    others = schema.get("additionalProperties")
    return schema.get("properties", {}).get(key) or (others if isinstance(others, dict) else {})


def _check_sets(config: dict) -> None:
    for name, data_set in config["data_sets"].items():
        where = f"data_sets.{name}"
        try:
            module = data.module(data_set["reader"])
        except UserError as error:
            raise UserError(f"config: {where}.reader: {error}") from None
        for split in ("train", "eval"):
            part = data_set.get(split)
            if part is None:
                continue
            if hasattr(module, "generate"):
                if part.get("n", 1) > module.MOST:
                    raise UserError(f"config: {where}.{split}.n is {part['n']}; expected at most {module.MOST}")
                if "source" in part:
                    raise UserError(f"config: {where}.{split}.source: {name} is generated; remove the key")
            elif "source" not in part:
                raise UserError(f"config: {where}.{split} lacks the key 'source'")
            else:
                _check_source(f"{where}.{split}", part)
    for name in config["eval_sets"]:
        _check_set(config, "eval_sets", name, "eval")
        if name.startswith("average"):
            raise UserError(f"config: eval_sets names {name!r}, a name of the tables' own; rename it")


def _check_set(config: dict, where: str, name: str, split: str) -> None:
    if name not in config["data_sets"]:
        known = ", ".join(config["data_sets"])
        raise UserError(f"config: {where} names {name!r}, which is not in data_sets (there are {known})")
    if split not in config["data_sets"][name]:
        raise UserError(f"config: {where} names {name!r}, so data_sets.{name} needs the key {split!r}")


def _check_source(where: str, part: dict) -> None:
    try:
        source = sources.parse(part["source"])
        sources.check(source, part.get("checksum"))
        if source.kind == "file" and not Path(source.location).is_dir():
            sources.verify(source.location, part.get("checksum"))
        if source.kind == "hub" and source.member is None and (where.startswith("data_sets") or ".chains." in where):
            raise UserError(f"source {source}: a data set needs its configuration and split, :CONFIG/SPLIT")
    except UserError as error:
        raise UserError(f"config: {where}: {error}") from None


def _check_models(config: dict) -> None:
    for name, model in config["models"].items():
        where, kind = f"models.{name}", study.kind(model)
        if kind is None:
            raise UserError(f"config: {where} needs one of the keys {', '.join(study.KINDS)}, and no two of them")
        if kind == "source":
            _check_source(where, model)
            if model["source"].startswith("url:"):
                raise UserError(f"config: {where}.source: a model comes from wheel:, hub:, a folder or a GGUF file")
            continue
        if kind == "api":
            _check_api(f"{where}.api", model["api"])
            continue
        if study.BASE not in model[kind]:
            raise UserError(f"config: {where}.{kind} lacks the arm {study.BASE!r}, which the others are compared with")
        if kind == "oracle":
            _check_behaviours(where, model["oracle"])
        else:
            _check_chains(config, where, model["chains"])


def _check_api(where: str, api: dict) -> None:
    if (api["base_url"] is None) == (api["base_url_env"] is None):
        raise UserError(f"config: {where} needs one of the keys base_url, base_url_env, and not both")
    if study.BASE in api["arms"]:
        raise UserError(f"config: {where}.arms names {study.BASE!r}, which is {where}.model")
    for model in (api["model"], *api["arms"].values()):
        if why := guards.hides_chain(model):
            raise UserError(f"config: {where} names the model {model!r}; {why}")
    if api["endpoint"] == "chat" and "continue" in api["abilities"]:
        raise UserError(f"config: {where}.abilities names 'continue', but endpoint is chat; expected completions")
    if api["mode"] == "batch" and "batch" not in api["abilities"]:
        raise UserError(f"config: {where}.mode is batch, so {where}.abilities needs 'batch'")
    for field in api["extra"]:
        if field in _OWN_FIELDS:
            raise UserError(f"config: {where}.extra names {field!r}, which faithtune sets itself; remove it")
    if api["tokenizer"] is not None and not Path(api["tokenizer"], "tokenizer.json").is_file():
        raise UserError(f"config: {where}.tokenizer is {api['tokenizer']!r}, but there is no tokenizer.json in it")


def _check_behaviours(where: str, arms: dict) -> None:
    for arm, behaviour in arms.items():
        least, most = behaviour["steps"]
        if least > most:
            raise UserError(f"config: {where}.oracle.{arm}.steps is {[least, most]}; expected the least first")


def _check_chains(config: dict, where: str, arms: dict) -> None:
    for arm, sets in arms.items():
        for name, part in sets.items():
            place = f"{where}.chains.{arm}"
            if name not in config["eval_sets"]:
                raise UserError(f"config: {place} names {name!r}; expected one of {', '.join(config['eval_sets'])}")
            if name not in arms[study.BASE]:
                raise UserError(f"config: {place} names {name!r}, of which the arm {study.BASE!r} has no chains")
            _check_source(f"{place}.{name}", part)


def _check_paraphraser(config: dict) -> None:
    asked = {name: study.kind(model) for name, model in config["models"].items() if study.kind(model) != "chains"}
    name = config["paraphraser"]["model"]
    if not asked:  # nothing is paraphrased
        return
    if name not in asked:
        raise UserError(f"config: paraphraser.model is {name!r}; expected one of {', '.join(asked)}")
    if asked[name] == "oracle" and set(asked.values()) != {"oracle"}:
        raise UserError(f"config: paraphraser.model is {name!r}, an oracle, which puts only oracles' chains in words")


def _check_tunings(config: dict) -> None:
    for name, tuning in config["tunings"].items():
        where = f"tunings.{name}"
        if tuning["batch_size"] % tuning["micro_batch_size"]:
            raise UserError(f"config: {where}.micro_batch_size must divide batch_size {tuning['batch_size']}")
        for model_name in tuning["models"]:
            if study.kind(config["models"].get(model_name, {})) != "source":
                raise UserError(f"config: {where}.models names {model_name!r}, which is no model with a source")
        for model_name, model in config["models"].items():
            if model_name not in tuning["models"]:
                continue
            if tuning["method"] == "full" and "served" in model:
                raise UserError(
                    f"config: {where}.method is full, but models.{model_name} is served; a server takes adapters"
                )
            if (tuning["method"] == "qlora") != (model["quantisation"] == "nf4"):
                raise UserError(
                    f"config: {where}.method is {tuning['method']} but models.{model_name}.quantisation is"
                    f" {model['quantisation']}; expected qlora with nf4, lora or full with none, because an arm is"
                    " measured on the base it was tuned on"
                )
        for train_set in tuning["train_sets"]:
            _check_set(config, f"{where}.train_sets", train_set, "train")
            reader = config["data_sets"][train_set]["reader"]
            if study.target(tuning, reader) == "rationale" and data.module(reader).RATIONALE is None:
                raise UserError(f"config: {where}.target is rationale, but {train_set} has none; expected answer_only")


def _check_prompts(config: dict) -> None:
    folder = Path(config["prompts"])
    kinds = {data.module(data_set["reader"]).KIND for data_set in config["data_sets"].values()}
    needed = {f"{form}_{kind}.txt": "{question}" for form in ("cot", "no_cot") for kind in sorted(kinds)}
    for form, tests in {"paraphrase": {"paraphrase", "prefix_paraphrase"}, "mistake": {"mistake"}}.items():
        if not tests.isdisjoint(config["tests"]):
            names = [path.name for path in folder.glob(f"{form}_*.txt")] or [f"{form}_1.txt"]
            needed |= dict.fromkeys(names, "{step}")
    if any(model.get("api", {}).get("endpoint") == "chat" for model in config["models"].values()):
        needed |= {"chat_answer.txt": "", "chat_continue.txt": ""}
    for name, field in needed.items():
        path = folder / name
        if not path.is_file():
            raise UserError(f"config: prompts is {config['prompts']!r}, but there is no {path}")
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        if field not in "\n".join(lines[:-1] if field == "{step}" else lines):
            before = "" if field == "{question}" else ", before the last line, which opens the assistant's turn"
            raise UserError(f"{path}: it must hold {field} where that belongs{before}")
