"""The manual: its links lead somewhere, its configurations are right, its reference pages say what the code says."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from configurations import ROOT
from faithtune.data import questions, readers
from faithtune.study import config

MANUAL = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
MARKDOWN = [
    path for folder in ("", "config/", "docs/**/", "tests/**/", "resources/**/") for path in ROOT.glob(f"{folder}*.md")
]
FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
# Paths of the repository as the pages write them; what a placeholder (MODEL, NAME, …) stands in is none.
PATH = re.compile(r"`((?:config|docs|envs|profiles|resources|tests|workflow)/[a-z0-9_./-]+)`")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def load_generator():
    """docs/generate.py as a module."""
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(path: Path) -> set[str]:
    """The anchors of a file's headings, as GitHub makes them."""
    found = set()
    for heading in re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text(encoding="utf-8")), re.MULTILINE):
        found.add(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-"))
    return found


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


CONFIGURATIONS = [
    pytest.param(text, id=f"{name(path)}-{number}")
    for path in MANUAL
    for number, text in enumerate(blocks(path, "yaml"), 1)
    if "eval_sets:" in text
]


@pytest.mark.parametrize("page", load_generator().pages())
def test_reference_pages_are_up_to_date(page):
    is_now = (ROOT / "docs/reference" / page).read_text(encoding="utf-8")
    assert is_now == load_generator().pages()[page], f"{page} is out of date: run python docs/generate.py"


def test_keys_of_a_schema_as_pydantic_writes_it():
    model = {"properties": {"n": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None}}}
    models = {"type": "object", "additionalProperties": {"$ref": "#/$defs/Model"}, "description": "By name."}
    device = {"enum": ["cpu", "cuda"], "type": "string", "default": "cpu", "description": "Where."}
    schema = {"$defs": {"Model": model}, "required": ["models"], "properties": {"models": models, "device": device}}
    lines = load_generator().configuration(schema).splitlines()
    assert "| `models` | [models.NAME](#modelsname) | **required** | By name. |" in lines
    assert "| `device` | `cpu`, `cuda` | `cpu` | Where. |" in lines
    assert lines.index("## models.NAME") < lines.index("| `n` | whole number ≥ 1 |  |  |")


def test_a_column_that_nobody_describes_is_an_error(tmp_path):
    module = tmp_path / "module.py"
    columns = '"a": pl.String,  # what a is\n"b": pl.Int32,\n'
    module.write_text(f"# A row.\nROWS = pl.Schema({{\n{columns}}})\n")
    with pytest.raises(ValueError, match="ROWS: describe the column 'b'"):
        load_generator().read_columns(module, "ROWS")


@pytest.mark.parametrize("path", MARKDOWN, ids=name)
def test_links_lead_to_a_file_and_a_heading(path):
    for target in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            there = (path.parent / file).resolve() if file else path
            assert there.exists(), target
            assert not anchor or anchor in anchors(there), target


@pytest.mark.parametrize("path", [*MANUAL, ROOT / "CONTRIBUTING.md", ROOT / "config/ADDING.md"], ids=name)
def test_paths_in_the_text_are_there(path):
    for found in PATH.findall(path.read_text(encoding="utf-8")):
        assert (ROOT / found).exists(), found


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_configurations_are_right(text, tmp_path, monkeypatch):
    """With the local files that they name in their places."""
    raw = yaml.safe_load(text)
    run = tmp_path / "study"
    run.mkdir()
    monkeypatch.chdir(run)
    for source in re.findall(r"source: ([\w./-]+?)[},\s]", text):
        file = run / source
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch() if file.suffix in (".gguf", ".jsonl") else file.mkdir()
    raw["prompts"] = str(ROOT / "resources/prompts/zero_shot")
    assert config.load(raw).eval_sets == raw["eval_sets"]


def test_rows_are_read_by_the_reader_that_they_are_shown_for():
    text = (ROOT / "docs/your-data.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\*\*`(\w+)`\*\*:.*?```json\n(.*?)\n```", text, re.MULTILINE | re.DOTALL)
    assert sorted(reader for reader, _ in rows) == [
        name for name in readers.names() if name != "table" and not hasattr(readers.module(name), "generate")
    ]
    for reader, row in rows:
        read = questions.frame(readers.module(reader).questions([json.loads(row)]), reader, "eval")
        assert read.height == 1


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 80
