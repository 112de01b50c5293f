"""A configuration held to its JSON schema: numbers for text, errors in one line, defaults at every depth."""

import contextlib
import difflib
import json
import math

import jsonschema

from faithtune.core.errors import UserError, shown
from faithtune.core.redaction import redacted
from faithtune.core.user_files import not_text

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


def completed(raw: dict, schema: dict) -> dict:
    """`raw` with all defaults filled in; UserError naming the first key that is wrong."""
    try:
        raw = _typed(raw, schema, schema)
    except RecursionError:
        raise UserError("config: it is nested too deeply; expected the sections that config/README.md shows") from None
    validator = jsonschema.Draft202012Validator(schema)
    error = jsonschema.exceptions.best_match(validator.iter_errors(raw), key=jsonschema.exceptions.relevance)
    if error is not None:
        raise UserError(redacted(_message(error)))
    return _completed(raw, schema, schema)


def _message(error: jsonschema.ValidationError) -> str:
    where = ".".join(map(str, error.absolute_path)) or "the top level"
    found = f"config: {where} is {shown(error.instance)}"
    if "propertyNames" in error.absolute_schema_path:
        found = f"config: {where} names {shown(error.instance)}"
    limit = error.validator_value
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        unknown = next(key for key in error.instance if key not in known)
        close = difflib.get_close_matches(str(unknown), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"known keys: {', '.join(known)}"
        return f"config: unknown key {shown(unknown)} in {where}; {hint}"
    if error.validator == "required":
        missing = [key for key in limit if key not in error.instance]
        return f"config: {where} lacks the key {missing[0]!r}"
    if error.validator == "enum":
        return f"{found}; expected one of {', '.join(map(str, limit))}"
    if error.validator == "oneOf":
        return f"{found}; expected all-linear or a list of layer names"
    if error.validator == "uniqueItems":
        return f"{found}; expected no item twice"
    if error.validator == "pattern" and error.schema.get("$comment") == "the name of an environment variable":
        return f"config: {where}: expected {error.schema['$comment']}"  # not quoted: it may be the key itself
    if error.validator == "pattern" and "$comment" in error.schema:  # the pattern in words
        return f"{found}; expected {error.schema['$comment']}"
    limit = " or ".join(limit) if isinstance(limit, list) else limit
    return f"{found}; expected {_EXPECTED[error.validator].format(limit)}"


def _typed(value, schema: dict, root: dict, where: tuple = ()):
    """`value` with numbers for text where the schema wants them: nested values of --config arrive as text."""
    schema = _resolved(schema, root)
    place = ".".join(map(str, where)) or "the top level"
    for text in [value] if isinstance(value, str) else value if isinstance(value, dict) else []:
        if isinstance(text, str) and (fault := not_text(text)):
            raise UserError(f"config: {place} {fault}")
    if isinstance(value, dict):
        return {key: _typed(part, _part(schema, key), root, (*where, key)) for key, part in value.items()}
    if isinstance(value, list):
        return [_typed(item, schema.get("items", {}), root, (*where, i)) for i, item in enumerate(value)]
    kinds = schema.get("type", [])
    kinds = {kinds} if isinstance(kinds, str) else set(kinds)
    if isinstance(value, str) and kinds & {"integer", "number", "boolean"}:
        with contextlib.suppress(ValueError, RecursionError):
            read = json.loads(value)
            value = value if isinstance(read, dict | list) else read
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"config: {place} is {value}; expected a finite number")
    return int(value) if isinstance(value, float) and value.is_integer() and "integer" in kinds else value


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
