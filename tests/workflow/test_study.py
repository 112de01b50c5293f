"""The whole DAG on a tiny model: every stage runs and its files say what they should."""

import json
import os

import polars as pl
import pyarrow.parquet
import pytest

from faithtune.core import parquet
from faithtune.core.schemas.answers import ANSWERS
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.core.schemas.interventions import INTERVENTIONS
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.core.schemas.training import TRAINING
from faithtune.jobs import provenance
from faithtune.measures import alpha
from faithtune.measures.generalisation.domains import GENERALISATION
from faithtune.report.figures import figures
from faithtune.report.tables import tables
from study import ROOT

ARMS = ("base", "qlora-arithmetic-42")
SETS = ("arithmetic", "colours")
# Absent from this study: a second tuned arm, a second model, hosts.
WITHOUT_ROWS = {"t6_rank_accuracy", "t7_rank_match", "t8_model_size", "spend"}
WITHOUT_ROWS |= {
    "s6_rank_accuracy",
    "s7_rank_match",
    "s8_model_size",
    "t14_recipes",
    "s14_recipes",
    "t15_forgetting",
    "t17_shifts",
    "t18_crossing",
    "t19_inside",
    "t20_correlations",
    "t21_moved",
}
# Estimates that may lack an interval, and why. An effect may also lack one if a single pair is left.
WITHOUT_INTERVAL = {
    "chance": "a property of the questions",
    "n_steps": "no bounds, and so no interval where all chains are alike",
    "n_tokens": "likewise",
    "disguised_normalised": "a ratio, of five choices: there are draws without one that stays",
    "change_floored": "a ratio likewise",
}
PAIRS = [(arm, eval_set) for arm in ARMS for eval_set in SETS]


def frame(study, path, schema):
    return parquet.read(study.folder / "results" / f"{path}.parquet", schema)


def test_a_second_run_has_nothing_to_do(study):
    assert study.planned() == {}
    assert "Nothing to be done" in study.run()


def test_the_run_prints_its_stages(study):
    assert "peak MB" in study.printed
    assert all(f"\n{rule} " in study.printed for rule in ("tune", "chains", "paraphrase", "answer"))


def test_questions_are_disjoint(study):
    train = frame(study, "questions/arithmetic.train", QUESTIONS)
    evaluation = frame(study, "questions/arithmetic.eval", QUESTIONS)
    assert (train.height, evaluation.height) == (12, 6)
    assert not set(train["id"]) & set(evaluation["id"])
    assert not set(train["group"]) & set(evaluation["group"])


def test_training_is_logged(study):
    log = frame(study, "arms/tiny/qlora-arithmetic-42/training", TRAINING)
    assert log["step"].to_list() == [1, 2, 3]
    assert log["loss"].is_not_null().all()


@pytest.mark.parametrize(("arm", "eval_set"), PAIRS)
def test_every_question_passes_every_stage(study, arm, eval_set):
    questions = frame(study, f"questions/{eval_set}.eval", QUESTIONS)
    chains = frame(study, f"chains/tiny/{arm}/{eval_set}", CHAINS)
    interventions = frame(study, f"interventions/tiny/{arm}/{eval_set}", INTERVENTIONS)
    answers = frame(study, f"answers/tiny/{arm}/{eval_set}", ANSWERS)
    assert chains["id"].to_list() == questions["id"].to_list()
    again = answers.filter(test="again")
    assert again.height == 3
    assert again["match"].all()  # float32: nothing differs between batches
    shuffled = answers.filter(test="no_cot_shuffled")
    assert shuffled["id"].to_list() == questions.filter(pl.col("kind") == "choice")["id"].to_list()
    answers = answers.filter(~pl.col("test").is_in(["again", "no_cot_shuffled"]))
    assert answers.select("id", "test", "k").equals(interventions.select("id", "test", "k"))
    assert set(answers["outcome"]) <= {"answered", "unanswered", "truncated", "unavailable"}
    assert answers.filter(outcome="answered")["correct"].is_not_null().all()
    assert answers.filter(pl.col("outcome") != "answered")["match"].is_null().all()
    # The tiny model was taught to finish its chains: the stages after them have something to do.
    assert (chains["n_steps"] >= 1).sum() >= 3
    assert set(interventions["test"]) == {"no_cot", "full", "early_termination", "filler", "paraphrase"}


@pytest.mark.parametrize(("arm", "eval_set"), PAIRS)
def test_the_whole_chain_gives_the_own_answer_again(study, arm, eval_set):
    answers = frame(study, f"answers/tiny/{arm}/{eval_set}", ANSWERS)
    whole = answers.filter(pl.col("k") == pl.col("n_steps"), pl.col("test") != "full", pl.col("match").is_not_null())
    assert whole.height > 0
    assert whole["match"].all()


def test_probabilities_of_options_sum_to_one(study):
    answers = frame(study, "answers/tiny/base/colours", ANSWERS).filter(outcome="answered")
    assert (answers["probabilities"].list.sum() - 1).abs().max() < 1e-6
    likeliest = answers["probabilities"].list.arg_max()
    assert answers["answer"].to_list() == ["ABC"[i] for i in likeliest]


def test_tables_and_figures_are_there(study):
    for name in tables.TABLES:
        table = frame(study, f"tables/{name}", tables.table(name).schema)
        assert (table.height > 0) == (name not in WITHOUT_ROWS)
        for suffix in ("csv", "md", "tex"):
            assert (study.folder / f"results/tables/{name}.{suffix}").stat().st_size > 0
    for name in figures.names(SETS):
        assert (study.folder / f"results/figures/{name}.svg").read_text().startswith("<?xml")
        points = frame(study, f"figures/{name}", figures.figure(name).schema)
        # There is one recipe, without checkpoints, and no probes.
        assert (points.height > 0) == (name not in ("ranks", "recipes", "ablations", "checkpoints", "layers", "dose"))


def test_a_tuning_is_read_in_its_domain_and_far_from_it(study):
    """The arm learns arithmetic; colours are read by siqa, of another domain."""
    found = frame(study, "generalisation", GENERALISATION)
    wanted = [("in", "arithmetic"), ("far", "colours"), ("in", None), ("far", None), ("far - in", None)]
    assert found.filter(subject="accuracy").select("where", "eval_set").rows() == wanted
    effects = frame(study, "estimates", ESTIMATES).filter(metric="accuracy_effect", test="cot")
    for name in SETS:
        [(value,)] = found.filter(subject="accuracy", eval_set=name).select("estimate").rows()
        [(expected,)] = effects.filter(eval_set=name).select("estimate").rows()
        assert value == pytest.approx(expected)
    assert "in: " in (study.folder / "results/tables/t16_generalisation.md").read_text()


def test_the_report_holds_all_of_it(study):
    page = (study.folder / "results/report/index.html").read_text()
    names = [*tables.TABLES, *(f"figure-{name}" for name in figures.names(SETS)), "prompts", "provenance", "runtimes"]
    assert all(f'id="{name}"' in page for name in names)
    assert page.count("data:image/svg+xml;base64,") == len(figures.names(SETS))
    assert "Step 1:" in page and "cot_number.txt" in page  # a whole prompt
    origin = json.loads((study.folder / "results/provenance.json").read_text())
    assert provenance.summary_line(origin) in page
    assert "tune " in page.rpartition('id="runtimes"')[2]
    assert str(study.folder) not in page
    assert all(f'href="items/{name}/index.html"' in page for name in SETS)


@pytest.mark.parametrize(("arm", "eval_set"), PAIRS)
def test_the_viewer_holds_every_text(study, arm, eval_set):
    folder = study.folder / "results/report/items" / eval_set
    assert {"index.html", "viewer.js", "viewer.css", "index.js", "questions"} <= {
        path.name for path in folder.iterdir()
    }

    def part(name):
        return json.loads(f"[{(folder / name).read_text()[len('faithtune(') : -len(')') - 1]}]")[1]

    ids, rows = part("index.js")["ids"], part(f"tiny.{arm}/0.js")
    made = frame(study, f"interventions/tiny/{arm}/{eval_set}", INTERVENTIONS)
    assert len(rows) == len(ids) > 0
    for id, test, k, text in made.select("id", "test", "k", "text").iter_rows():
        one = rows[ids.index(id)]
        (shown,) = [row["shown"] for row in one["tests"][test] if row["k"] == k]
        assert text == (None if shown is None else "\n".join(one["lines"][number] for number in shown))


@pytest.mark.parametrize(("arm", "eval_set"), PAIRS)
def test_the_viewers_marks_come_to_the_match_rates(study, arm, eval_set):
    text = (study.folder / f"results/report/items/{eval_set}/tiny.{arm}/overview.js").read_text()
    marks = json.loads(f"[{text[len('faithtune(') : -2]}]")[1]
    measured = frame(study, "measures", alpha.OF_STUDY).filter(arm=arm, eval_set=eval_set, steps="all")
    for test in ("early_termination", "filler", "paraphrase"):
        of_test = measured.filter(test=test)
        # The viewer's filter: at α = 0.5, chains of at least two steps with an answer.
        of = zip(marks["tests"][test], marks["steps"], marks["full"], strict=True)
        seen = [mark[(n + 1) // 2] for mark, n, full in of if n >= 2 and full in "rw"]
        assert seen.count("=") == of_test["match"].sum()
        assert seen.count("x") == (~of_test["match"]).sum()


def test_every_estimate_has_its_n_and_interval(study):
    estimates = frame(study, "estimates", ESTIMATES)
    known = estimates.filter(pl.col("estimate").is_not_null())
    assert known["n"].null_count() == 0
    may_lack = pl.col("metric").is_in(list(WITHOUT_INTERVAL)) | (pl.col("n") == 1)
    assert set(known.filter(pl.col("low").is_null() != pl.col("high").is_null())["metric"]) == set()
    outside = ~pl.col("estimate").is_between("low", "high").fill_null(may_lack)  # null where there is no interval
    assert set(known.filter(outside)["metric"]) == set()
    assert known["metric"].n_unique() > 40


def test_accuracy_in_the_table_is_the_share_of_correct_answers(study):
    answers = frame(study, "answers/tiny/base/arithmetic", ANSWERS)
    table = frame(study, "tables/t1_accuracy", tables.table("t1_accuracy").schema)
    for test, source in (("cot", "full"), ("no_cot", "no_cot")):
        row = table.filter(arm="base", eval_set="arithmetic", test=test, metric="accuracy").row(0, named=True)
        expected = answers.filter(test=source)["correct"].fill_null(False).mean()
        assert row["estimate"] == pytest.approx(expected)
        assert row["n"] == 6


def test_measures_pick_the_k_of_alpha(study):
    picked = frame(study, "measures", alpha.OF_STUDY).filter(arm="base", eval_set="arithmetic", steps="all")
    assert picked.height > 0
    assert (picked["k"] == (picked["n_steps"] + 1) // 2).all()


def test_interventions_before_the_end_are_answered(study):
    answers = pl.concat(frame(study, f"answers/tiny/{arm}/{eval_set}", ANSWERS) for arm, eval_set in PAIRS)
    early = answers.filter(pl.col("k") < pl.col("n_steps"), outcome="answered")
    assert {"early_termination", "filler"} <= set(early["test"])


def test_every_table_carries_the_provenance_of_the_study(study):
    origin = json.loads((study.folder / "results/provenance.json").read_text())
    for name in tables.TABLES:
        path = study.folder / f"results/tables/{name}"
        metadata = pyarrow.parquet.read_schema(path.with_suffix(".parquet")).metadata
        assert json.loads(metadata[provenance.KEY.encode()]) == origin
        for suffix in (".csv", ".md", ".tex"):
            assert provenance.short_digest(origin) in path.with_suffix(suffix).read_text()
    assert str(study.folder) not in json.dumps(origin)
    assert origin["published_sha256"] == provenance.sha256((ROOT / "resources/published/published.csv").read_bytes())
    assert set(origin["models"]) == {"tiny"} and set(origin["arms"]) == {"tiny/qlora-arithmetic-42"}


@pytest.mark.parametrize("command", [("--unlock",), ("--report", "report.zip"), ("--summary",)])
def test_commands_that_run_nothing_need_no_number_of_cores(study, command):
    del study.config["compute"]["tune_threads"]  # by default half of the cores
    done = study.snakemake(*command)
    assert done.returncode == 0, done.stdout


def test_a_study_that_moved_keeps_its_type_and_says_what_it_costs(study, monkeypatch):
    path = study.folder / "results/precision.json"
    recorded, times = path.read_text(), path.stat()
    chosen = json.loads(recorded) | {"dtype": "bfloat16", "wanted": "auto"}
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    try:
        path.write_text(json.dumps(chosen))
        target = "results/questions/colours.eval.parquet"
        done = study.snakemake("--cores", "1", "--forcerun", "questions", "--", target)
    finally:
        path.write_text(recorded)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert "Computing in bfloat16" in done.stdout
    assert "this study computes in bfloat16, 5 to 25 times as slow as float32 here" in done.stdout
