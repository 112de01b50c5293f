"""Which change reruns which jobs, read from `snakemake -n` on a finished study."""

import json
import shutil
from collections import Counter

import pytest

from faithtune.arms.row_store import ROWS
from faithtune.core import parquet
from faithtune.report.figures import figures
from faithtune.report.tables import tables
from study import ROOT, Study

TABLES = {"estimates": 1, "generalisation": 1, "claims": 1, "recipes": 1, "verdict": 1}
TABLES |= {"provenance": 1, "table": len(tables.TABLES), "report": 1}
PER_SET = {"chains": 2, "paraphrase": 2, "answer": 2}
# The number of figures of the whole study by their source; each evaluation set adds one.
DRAWN = Counter(name for figure in figures.FIGURES.values() for name in figure.source.inputs)
EFFECTS = DRAWN["estimates"] + DRAWN["verdict"] + DRAWN["recipes"]
LENGTHS, TRAINING = DRAWN["chains"], DRAWN["training"]
# The item viewers of both sets.
ITEMS = {"items": 2}


def test_another_alpha_asks_nothing(study):
    study.config["measures"]["alphas"] = [0.25, 0.5]
    assert study.planned() == {"figure": EFFECTS, **ITEMS, **TABLES}


def test_a_new_evaluation_set_runs_only_its_own_stages(study):
    sums = {"reader": "arithmetic", "seed": 7, "eval": {"n": 3}}
    study.config["data_sets"]["sums"] = sums
    study.config["eval_sets"].append("sums")
    drawn = {"figure": 1 + EFFECTS + LENGTHS, "items": 3}  # every viewer links to the viewers of the other sets
    assert study.planned() == {"questions": 1, **PER_SET, **drawn, **TABLES}


def test_another_rank_reruns_the_tuned_arm_only(study):
    study.config["tunings"]["qlora"]["rank"] = 4
    assert study.planned() == {"tune": 1, **PER_SET, "figure": 2 + len(figures.FIGURES), **ITEMS, **TABLES}


def test_another_seed_is_another_arm_and_leaves_the_first_alone(study):
    study.config["tunings"]["qlora"]["seeds"] = [42, 43]
    assert study.planned() == {
        **{"tune": 1, "figure": 2 + len(figures.FIGURES)},
        **dict.fromkeys(PER_SET, 2),
        **ITEMS,
        **TABLES,
    }


def test_an_oracle_added_leaves_all_others_alone(study):
    study.config["models"]["oracle"] = {"oracle": {"base": {}}}
    drawn = 2 + EFFECTS + LENGTHS + DRAWN["curves"] + DRAWN["inside"]  # arms have a colour each
    assert study.planned() == {**dict.fromkeys(PER_SET, 2), "figure": drawn, **ITEMS, **TABLES}


def test_naming_the_type_that_auto_chose_reruns_nothing(tmp_path, tiny_model):
    study, target = Study(tmp_path, tiny_model), "results/precision.json"
    study.config["models"]["tiny"]["dtype"] = "auto"
    study.run(target)
    chosen = json.loads((tmp_path / "results/precision.json").read_text())["dtype"]
    study.config["models"]["tiny"]["dtype"] = chosen
    assert study.planned(target) == {}
    study.config["models"]["tiny"]["dtype"] = "float16"
    assert study.planned(target) == {"precision": 1}


def test_a_model_asked_at_a_server_is_neither_prepared_nor_tuned_again(study):
    study.config["models"]["tiny"]["served"] = {"base_url_env": "FAITHTUNE_TEST_URL"}
    asked = dict.fromkeys(PER_SET, 4)
    checked = {"host": 1, "check_hosted": 2}
    assert study.planned() == {**checked, **asked, "spend": 1, "figure": 2 + EFFECTS + LENGTHS, **ITEMS, **TABLES}


def test_a_number_of_parameters_is_for_claims_and_tables(study):
    study.config["models"]["tiny"]["parameters"] = 1000
    others = ("estimates", "generalisation", "recipes", "verdict")
    assert study.planned() == {rule: n for rule, n in TABLES.items() if rule not in others}


def test_a_headline_of_all_tunings_changes_no_claim(study):
    study.config["measures"] |= {"headline": list(study.config["tunings"])}
    others = ("estimates", "generalisation", "claims", "recipes", "verdict")
    assert study.planned() == {rule: n for rule, n in TABLES.items() if rule not in others}


def test_another_reference_is_for_the_recipes_and_the_verdict(study):
    study.config["measures"] |= {"reference": "qlora"}
    there = {rule: n for rule, n in TABLES.items() if rule not in ("estimates", "generalisation", "claims")}
    assert study.planned() == {"figure": DRAWN["recipes"] + DRAWN["verdict"], **there}


def test_another_margin_is_for_the_verdict_alone(study):
    study.config["measures"] |= {"margin": 0.05}
    there = ("verdict", "provenance", "table", "report")
    assert study.planned() == {"figure": DRAWN["verdict"], **{rule: TABLES[rule] for rule in there}}


def test_another_domain_makes_no_question_and_no_answer_stale(study):
    study.config["data_sets"]["colours"]["domain"] = "mathematics"
    there = ("generalisation", "provenance", "table", "report")
    assert study.planned() == {rule: TABLES[rule] for rule in there}


def test_more_training_questions_leave_base_alone(study):
    study.config["data_sets"]["arithmetic"]["train"]["n"] = 16
    assert study.planned() == {
        **{"questions": 1, "tune": 1, "figure": 2 + len(figures.FIGURES) - DRAWN["curves"] - DRAWN["inside"]},
        **PER_SET,
        **ITEMS,
        **TABLES,
    }


def test_another_filler_asks_nothing_of_the_paraphraser(study):
    study.config["filler"] = " _"
    assert study.planned() == {"answer": 4, "figure": 2 + EFFECTS, **ITEMS, **TABLES}


def test_speed_settings_rerun_nothing(study):
    study.config["compute"] |= {"batch_size": 3, "max_packed_tokens": 64}
    assert study.planned() == {}


def test_templates_are_what_they_say_wherever_they_lie(study, tmp_path):
    folder = tmp_path / "one_shot"
    shutil.copytree(study.config["prompts"], folder)
    study.config["prompts"] = str(folder)
    assert study.planned() == {}
    (folder / "paraphrase_1.txt").write_text("Say it otherwise: {step}\nOtherwise:")
    assert study.planned() == {"paraphrase": 4, "answer": 4, "figure": 2 + EFFECTS, **ITEMS, **TABLES}


@pytest.fixture
def copied(study, tmp_path):
    """The finished study, run by a copy of the workflow that tests can edit."""
    for name in ("Snakefile", "workflow", "resources", "profiles", "envs"):
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    return study, tmp_path


def planned_with(study: Study, root, monkeypatch) -> dict[str, int]:
    monkeypatch.setattr(study, "root", root)
    return study.planned()


def edit(root, module: str, old: str, new: str) -> None:
    path = root / "workflow/scripts/faithtune" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_what_changes_no_result_reruns_nothing(copied, monkeypatch):
    study, root = copied
    edit(root, "extraction/numbers.py", "import re\n", "import re  # a comment\n")
    edit(root, "extraction/steps.py", '"""Splits a chain', '"""Divides a chain')
    edit(root, "models/weights.py", "pickled weights are never loaded", "weights in pickles are not loaded")
    edit(root, "core/parquet.py", "not a readable Parquet file", "no Parquet file")
    (root / "workflow/scripts/tune.py").touch()
    assert planned_with(study, root, monkeypatch) == {}


def test_a_changed_statement_reruns_the_rules_that_import_it(copied, monkeypatch):
    study, root = copied
    edit(root, "report/tables/cells.py", 'NOT_AVAILABLE = "n/a"', 'NOT_AVAILABLE = "none"')
    drawn = {"figure": 2 + len(figures.FIGURES), "provenance": 1, "report": 1}
    assert planned_with(study, root, monkeypatch) == {**drawn, "table": len(tables.TABLES)}


def test_a_column_of_one_stage_reruns_that_stage_and_what_rests_on_it(copied, monkeypatch):
    study, root = copied
    edit(root, "core/schemas/answers.py", '"turn": pl.String', '"new": pl.String, "turn": pl.String')
    planned = planned_with(study, root, monkeypatch)
    assert planned["answer"] == 4 and planned["estimates"] == 1
    assert not {"questions", "model", "tune", "chains", "paraphrase"} & planned.keys()


def test_another_page_is_written_alone(copied, monkeypatch):
    study, root = copied
    page, viewer = root / "workflow/report/page.html", root / "workflow/report/items/viewer.css"
    page.write_text(page.read_text().replace("75rem", "70rem"))
    assert planned_with(study, root, monkeypatch) == {"report": 1}
    viewer.write_text(viewer.read_text().replace("110rem", "100rem"))
    assert planned_with(study, root, monkeypatch) == {"report": 1, **ITEMS}


def test_a_changed_reader_reruns_only_its_data_sets(copied, monkeypatch):
    study, root = copied
    edit(root, "data/readers/siqa.py", 'KIND = "choice"', 'KIND = "cho" + "ice"')
    assert planned_with(study, root, monkeypatch) == {
        "questions": 1,
        **PER_SET,
        "figure": 1 + EFFECTS + LENGTHS,
        "items": 1,
        **TABLES,
    }


def test_more_evaluation_questions_keep_the_earlier_rows(finished, tmp_path):
    rows = finished.folder / "results/store/rows"
    before = {path.relative_to(rows): path.read_bytes() for path in rows.rglob("*.parquet")}
    grown = finished.copied(tmp_path)
    grown.config["data_sets"]["arithmetic"]["eval"]["n"] = 9
    grown.run("results/answers/tiny/base/arithmetic.parquet")
    assert "9 rows, 3 computed" in (tmp_path / "logs/chains/tiny/base/arithmetic.log").read_text()
    rows = tmp_path / "results/store/rows"
    for path, content in before.items():
        assert (rows / path).read_bytes() == content
    old = {key for path in before for key in keys(rows / path)}
    new = [key for path in rows.rglob("*.parquet") if path.relative_to(rows) not in before for key in keys(path)]
    assert len(new) > 3 * 4
    assert len(new) == len({*new} - old)


def keys(part) -> list[str]:
    return parquet.read(part, ROWS)["key"].to_list()
