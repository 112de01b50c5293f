"""Writes docs/reference/ from the definitions that it describes: python docs/generate.py

A page holds no fact of its own. tests/unit/test_manual.py says when one is out of date.
"""

import ast
import json
import re
import sys
import tokenize
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "workflow/scripts/faithtune"
REFERENCE = ROOT / "docs/reference"
NOTE = "<!-- Written by `python docs/generate.py`: change the definitions, not this page. -->"

TYPES = {
    "array": "list",
    "boolean": "`true` or `false`",
    "integer": "whole number",
    "number": "number",
    "object": "mapping",
    "string": "text",
}
BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
BOUNDS |= {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}  # as pydantic writes them inside lists and mappings

# Each Parquet file, and where its columns are defined: (title, path under results/, module, name).
FILES = (
    ("Questions", "questions/SET.train.parquet, SET.eval.parquet", "core/schemas/questions.py", "QUESTIONS"),
    ("Chains", "chains/MODEL/ARM/SET.parquet", "core/schemas/chains.py", "CHAINS"),
    ("Paraphrases", "paraphrases/MODEL/ARM/SET.parquet", "core/schemas/interventions.py", "PARAPHRASES"),
    ("Mistakes", "mistakes/MODEL/ARM/SET.parquet", "core/schemas/interventions.py", "MISTAKES"),
    ("Regenerations", "regenerations/MODEL/ARM/SET.parquet", "core/schemas/interventions.py", "REGENERATIONS"),
    ("Interventions", "interventions/MODEL/ARM/SET.parquet", "core/schemas/interventions.py", "INTERVENTIONS"),
    ("Answers", "answers/MODEL/ARM/SET.parquet", "core/schemas/answers.py", "ANSWERS"),
    ("Divergence", "divergence/MODEL/ARM/SET.parquet", "core/schemas/probes.py", "DIVERGENCE"),
    (
        "Probes",
        "probes/MODEL/ARM/SET.parquet, weights/MODEL/ARM.parquet",
        *("core/schemas/probes.py", "PROBES"),
    ),
    ("Inside", "inside.parquet", "core/schemas/probes.py", "INSIDE"),
    ("Correlations", "inside_correlations.parquet", "core/schemas/probes.py", "CORRELATIONS"),
    ("Measures", "measures.parquet", "measures/alpha.py", "OF_STUDY"),
    ("Estimates", "estimates.parquet", "core/schemas/estimates.py", "ESTIMATES"),
    ("Changes", "changes.parquet", "core/schemas/estimates.py", "CHANGES"),
    ("Recipes", "recipes.parquet", "measures/verdicts/recipes.py", "RECIPES"),
    ("Claims", "claims.parquet, tables/claims.parquet", "measures/claims.py", "CLAIMS"),
    (
        "Tables of estimates",
        "tables/TABLE.parquet, where no other definition follows",
        "report/tables/holm.py",
        "SELECTION",
    ),
    ("Table of the data", "tables/t10_data.parquet", "report/tables/setup.py", "DATA"),
    ("Table of the settings", "tables/t11_hyper_parameters.parquet", "report/tables/setup.py", "HYPER_PARAMETERS"),
    ("Table of the prompts", "tables/t12_prompts.parquet", "report/tables/setup.py", "PROMPTS"),
    ("Table of published numbers", "tables/t13_published.parquet", "report/tables/published.py", "COMPARISON"),
    (
        "Table of recipes",
        "tables/t14_recipes.parquet, s14_recipes.parquet",
        *("report/tables/recipes.py", "COMPARISON"),
    ),
    ("Table of the spending", "tables/spend.parquet", "hosts/spend/summary.py", "SUMMARY"),
    ("Points of match curves", "figures/match_SET.parquet", "report/figures/match.py", "CURVES"),
    (
        "Points of changes",
        "figures/heat_map.parquet, forest.parquet, trade_off.parquet, ranks.parquet",
        *("report/figures/effects.py", "EFFECTS"),
    ),
    ("Points of recipes", "figures/recipes.parquet", "report/figures/recipes.py", "POINTS"),
    ("Curves", "checkpoints/curves.parquet", "measures/long_term/curves.py", "CURVES"),
    ("Departures", "checkpoints/departures.parquet", "measures/long_term/curves.py", "DEPARTURES"),
    ("Shifts", "shifts.parquet", "measures/generalisation/shifts.py", "SHIFTS"),
    ("Crossing", "crossing.parquet", "measures/generalisation/crossing.py", "CROSSING"),
    ("Forgetting", "forgetting.parquet", "measures/long_term/forgetting.py", "FORGETTING"),
    ("Generalisation", "generalisation.parquet", "measures/generalisation/domains.py", "GENERALISATION"),
    ("Points of ablations", "figures/ablations.parquet", "report/figures/ablations.py", "ABLATIONS"),
    ("Points of lengths", "figures/lengths.parquet", "report/figures/curves.py", "LENGTHS"),
    ("Points of losses", "figures/training.parquet", "report/figures/training.py", "LOSSES"),
    ("Samples", "samples/MODEL/SET/SETTINGS.parquet", "core/schemas/samples.py", "SAMPLES"),
    ("Training log", "arms/MODEL/ARM/training.parquet", "core/schemas/training.py", "TRAINING"),
    (
        "Training log of a host",
        "arms/MODEL/ARM/training.parquet",
        *("core/schemas/training.py", "HOSTED_TRAINING"),
    ),
    ("Spending", "spend.parquet", "core/schemas/spend.py", "SPEND"),
    ("Forecast", "forecast.parquet", "core/schemas/spend.py", "FORECAST"),
)

# Columns that are the same thing in every file.
COMMON = {
    "model": "the model's name in the configuration",
    "arm": "`base`, TUNING-TRAIN_SET, or the name of an arm that was handed in; in files of one seed -SEED follows",
    "seed": "of the tuning; null for base and for an arm that was handed in",
    "train_set": "SET, SET+SET or MIXTURE (SET+SET); `not known` of an arm tuned elsewhere; null for base alone",
    "eval_set": "the evaluation set",
    "id": "of the question, as in Questions",
    "group": "of the question, as in Questions",
    "test": "a test, or how the question was asked: cot | no_cot | free; null where none applies",
    "alpha": "the kept fraction; null where it does not apply",
    "metric": "what was estimated",
    "estimate": "the number; null: nothing to estimate it from",
    "low": "lower end of the interval at the configured level",
    "high": "upper end of the interval",
    "n_unanswered": "of them without an answer",
    "n_truncated": "of them cut at a token limit",
    "seeds": "of the tuning, pooled",
}


# Mappings of the configuration that have keys of their own; each with the paths at which it stands.
Sections = list[tuple[list[str], dict]]


class Columns(NamedTuple):
    """The columns of a Parquet file, as its module defines them."""

    what: str  # what a row is
    rows: list[tuple[str, str, str]]  # name, type, meaning
    base: str | None  # the name of the definition whose columns it has as well


def main() -> None:
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of each page by its file name."""
    keys = f"{configuration(json_schema())}\n{short_keys()}"
    return {"configuration.md": keys, "columns.md": columns(), "metrics.md": metrics()}


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# Keys of the configuration, of a JSON schema.


def json_schema() -> dict:
    """The JSON schema of the configuration."""
    from faithtune.settings.configuration import Configuration

    return Configuration.model_json_schema()


def configuration(schema: dict) -> str:
    """The page of a JSON schema's keys: a section for each mapping that has keys of its own."""
    sections = []
    _collect("", schema, schema, sections)
    parts = [
        NOTE,
        "# Configuration keys",
        "`NAME` is a name that you choose. A key without a default may be left out unless it is **required**.",
    ]
    for titles, mapping in sections:
        parts += [f"## {_heading(titles)}", _keys(titles[0], mapping, schema, sections)]
    return "\n\n".join(parts) + "\n"


def short_keys() -> str:
    """The section on the short keys, which stand in place of whole sections."""
    from faithtune.settings.configuration import AuditSettings

    schema = AuditSettings.model_json_schema()
    return f"## Short keys\n\n{schema['description']}\n\n{_keys('', schema, schema, [])}\n"


def _collect(title: str, mapping: dict, schema: dict, sections: Sections) -> None:
    """Add `mapping` and each mapping inside it to `sections`; one that is there already gets a further title."""
    for titles, known in sections:
        if known is mapping:
            titles.append(title)
            return
    sections.append(([title], mapping))
    for key, entry in mapping["properties"].items():
        path, inner = _inner(f"{title}.{key}".lstrip("."), entry, schema)
        if inner:
            _collect(path, inner, schema, sections)


def _heading(titles: list[str]) -> str:
    return " and ".join(titles) or "Top level"


def _anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return "#" + heading.lower().replace(".", "").replace(" ", "-")


def _inner(path: str, entry: dict, schema: dict) -> tuple[str, dict | None]:
    """The mapping with keys of its own that an entry is, or holds by name, after its path; None if there is none."""
    for part in _alternatives(entry, schema):
        if "properties" in part:
            return path, part
        if isinstance(part.get("additionalProperties"), dict):
            return _inner(f"{path}.NAME", part["additionalProperties"], schema)
        if part.get("type") == "array" and (inner := _inner(f"{path}.N", part.get("items", {}), schema))[1]:
            return inner
    return path, None


def _alternatives(entry: dict, schema: dict) -> list[dict]:
    """What an entry may be, references followed; null, which is the same as leaving the key out, is not among them."""
    if "$ref" in entry:
        return _alternatives(schema["$defs"][entry["$ref"].rpartition("/")[2]], schema)
    if options := entry.get("anyOf", entry.get("oneOf")):
        return [part for option in options for part in _alternatives(option, schema)]
    if isinstance(entry.get("type"), list):
        return [entry | {"type": kind} for kind in entry["type"] if kind != "null"]
    return [] if entry.get("type") == "null" else [entry]


def _keys(title: str, mapping: dict, schema: dict, sections: Sections) -> str:
    rows = []
    for key, entry in mapping["properties"].items():
        path, inner = _inner(f"{title}.{key}".lstrip("."), entry, schema)
        values = _values(entry, schema)
        default = "**required**" if key in mapping.get("required", ()) else _default(entry.get("default"))
        # pydantic leaves out a description that is that of the section itself.
        meaning = entry.get("description") or (inner or {}).get("description", "")
        if inner:
            titles = next(titles for titles, known in sections if known is inner)
            link = f"[{path}]({_anchor(_heading(titles))})"
            values = values.replace("mapping", link) if values.startswith("list of") else link
            default = default if default == "**required**" else ""
        if values:
            rows.append((f"`{key}`", values, default, " ".join(meaning.split())))
    return table(("key", "value", "default", "meaning"), rows)


def _values(entry: dict, schema: dict) -> str:
    """The values that a key takes, in words; empty if it takes none but null."""
    return " or ".join(_value(part, schema) for part in _alternatives(entry, schema))


def _value(part: dict, schema: dict) -> str:
    if "const" in part or "enum" in part:
        return ", ".join(f"`{value}`" for value in part.get("enum", [part.get("const")]))
    if part["type"] == "array":
        items = part.get("items") or part.get("prefixItems", [{}])[0]
        return f"list of: {_values(items, schema)}"
    bounds = [f"{sign} {part[bound]}" for bound, sign in BOUNDS.items() if bound in part]
    return " ".join([TYPES[part["type"]], ", ".join(bounds)]).strip()


def _default(value: object) -> str:
    if value is None or value == {}:
        return ""
    plain = isinstance(value, str) and value == value.strip()
    return f"`{value if plain else json.dumps(value)}`"


def metrics() -> str:
    """The page of the metrics, estimates and probes, by their registries."""
    from faithtune.measures.metrics import registry
    from faithtune.probes import registry as inside

    return f"{NOTE}\n\n# Metrics\n\n{registry.markdown_table()}\n## Probes\n\n{inside.markdown_table()}"


# Columns of the Parquet files, of the comments beside their definitions.


def columns() -> str:
    """The page of the columns of every Parquet file."""
    parts = [NOTE, "# Columns of the Parquet files", "Paths are under `results/`."]
    titles = {name: title for title, _, _, name in FILES}
    for title, path, module, name in FILES:
        found = read_columns(LIBRARY / module, name)
        parts += [f"## {title}", f"`{path}`: {found.what}"]
        if found.base:
            parts.append(f"All columns of {found.base}, and:")
        rows = [(f"`{column}`", kind, meaning) for column, kind, meaning in found.rows]
        parts.append(table(("column", "type", "meaning"), rows))
    # Comments call a file by the name of its definition, the page by its title.
    name = re.compile(rf"\b(?:{'|'.join(titles)})\b")
    text = name.sub(lambda match: f"[{titles[match[0]]}]({_anchor(titles[match[0]])})", "\n\n".join(parts))
    return text.replace("docs/reference/metrics.md", "[Metrics](metrics.md)") + "\n"


def read_columns(path: Path, name: str) -> Columns:
    """The columns of the pl.Schema `name` in a module; ValueError naming what no comment describes."""
    with open(path, encoding="utf-8") as file:
        tokens = [token for token in tokenize.generate_tokens(file.readline) if token.type == tokenize.COMMENT]
    comments = {token.start[0]: token.string.lstrip("# ") for token in tokens}
    own = {token.start[0] for token in tokens if token.line.lstrip().startswith("#")}
    module = {
        ast.unparse(node.targets[0]): node
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
    }

    def above(line: int) -> list[str]:
        return [*above(line - 1), comments[line - 1]] if line - 1 in own else []

    rows, base = [], None
    definition = module[name].value.args[0]
    for key, value in zip(definition.keys, definition.values, strict=True):
        if key is not None:
            before = above(key.lineno) if key.lineno > definition.lineno else []
            beside = [comments[value.end_lineno]] if value.end_lineno in comments else []
            meaning = " ".join([*before, *beside]) or COMMON.get(key.value)
            if not meaning:
                raise ValueError(f"{path}: {name}: describe the column {key.value!r} in a comment beside it")
            rows.append((key.value, ast.unparse(value).replace("pl.", ""), meaning))
        elif (spread := ast.unparse(value)) in module:
            rows += read_columns(path, spread).rows
        else:
            base = spread
    what = " ".join(above(module[name].lineno))
    if not what:
        raise ValueError(f"{path}: {name}: say in a comment above it what a row is")
    return Columns(what, rows, base)


if __name__ == "__main__":
    sys.path.insert(0, str(LIBRARY.parent))
    main()
