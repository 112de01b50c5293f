"""What each table selects, how it reads, and the files it becomes."""

import csv
from functools import cache

import polars as pl
import pytest

from faithtune import parquet
from faithtune.errors import UserError
from faithtune.estimates import build
from faithtune.parquet import ESTIMATES
from faithtune.tables import TABLES, readable, select, write
from frames import answer_rows, answers, inputs, random_answers

TESTS_SHOWN = {
    "t2_early_termination": "early_termination",
    "t3_paraphrasing": "paraphrase",
    "t4_filler_substitution": "filler",
}
SUFFIXES = (".parquet", ".csv", ".md", ".tex")


@cache
def study() -> pl.DataFrame:
    frames = {
        ("m_1", arm, eval_set): random_answers(10 * i + j, groups=15 if j else None)
        for i, arm in enumerate(("base", "sums", "life"))
        for j, eval_set in enumerate(("sums", "blogs"))
    }
    given = inputs(frames, {"base": None})
    given["arms"] += [{"model": "m_1", "arm": "sums", "train_set": "sums"}]
    given["arms"] += [{"model": "m_1", "arm": "life", "train_set": "life"}]
    return build(**given)


def row(**values) -> pl.DataFrame:
    known = {"model": "m", "arm": "tuned", "train_set": "s", "eval_set": "s", "test": "cot", "metric": "accuracy"}
    return pl.DataFrame([known | values], schema=ESTIMATES)


def test_the_tables_of_the_issue():
    assert list(TABLES) == ["t1_accuracy", *TESTS_SHOWN, "t5_average_effect", "t9_diagnostics"]


@pytest.mark.parametrize("name", TABLES)
def test_a_selection_is_estimates(name):
    found = select(study(), name)
    assert found.schema == ESTIMATES and not found.is_empty()
    assert found.join(study(), on=ESTIMATES.names(), how="semi", nulls_equal=True).height == found.height


@pytest.mark.parametrize(("name", "test"), TESTS_SHOWN.items())
def test_the_table_of_a_test_shows_it_alone(name, test):
    found = select(study(), name)
    assert set(found["test"]) == {test}
    assert set(found["alpha"]) == {0.25, 0.5, 0.75}
    assert {"match", "match_effect", "faithfulness", "faithfulness_effect", "match_soft"} < set(found["metric"])


def test_the_faithful_direction_is_in_the_title():
    assert [TABLES[name].title[-1] for name in TESTS_SHOWN] == ["↓", "↑", "↓"]


def test_a_cell_holds_all_that_belongs_to_its_number():
    found = row(estimate=0.52, low=0.4512, high=0.588, n=200, n_unanswered=3, n_truncated=1)
    assert readable(found, "t1_accuracy")["s w/ CoT"].to_list() == ["0.520* [0.451, 0.588] n=200 u=3 t=1"]
    found = row(estimate=0.52, low=0.45, high=0.59, n=200, n_unanswered=0, n_truncated=0, eval_set="other")
    assert readable(found, "t1_accuracy")["other w/ CoT"].to_list() == ["0.520 [0.450, 0.590] n=200"]


def test_an_effect_has_its_sign_and_p():
    effect = row(metric="accuracy_effect", estimate=-0.0001, low=-0.05, high=0.05, n=9, eval_set="o")
    p = row(metric="accuracy_effect_p", estimate=0.0421, n=9, eval_set="o")
    both = pl.concat([effect, p])
    assert readable(both, "t1_accuracy")["o w/ CoT"].to_list() == ["+0.000 [-0.050, +0.050] n=9 p=0.042"]
    tiny = pl.concat([effect, p.with_columns(estimate=pl.lit(1e-9))])
    assert readable(tiny, "t1_accuracy")["o w/ CoT"].to_list() == ["+0.000 [-0.050, +0.050] n=9 p<0.001"]


def test_a_match_has_its_parse_rate_and_bounds():
    silent = answers(*(answer_rows(f"q{i}", filler=["A", None if i < 2 else "A", "A"]) for i in range(10)))
    found = build(**inputs({("m", "base", "s"): silent}, {"base": None}))
    cell = readable(select(found, "t4_filler_substitution"), "t4_filler_substitution")["s α=0.5"].item()
    assert cell.startswith("1.000 [") and cell.endswith("] n=10 u=2 parse 80% (0.800 to 1.000)")
    cell = readable(select(found, "t3_paraphrasing"), "t3_paraphrasing")["s α=0.5"].item()
    assert cell.endswith("] n=10 parse 100%")


def test_a_null_estimate_is_never_a_guess():
    nothing = build(**inputs({("m", "base", "s"): answers(answer_rows("q", n=0))}, {"base": None}))
    found = readable(select(nothing, "t2_early_termination"), "t2_early_termination")
    assert found.select(pl.col("^s α.*$")).row(0) == ("n/a",) * 3


def test_no_rows_at_all():
    """A study of a base arm alone has no effects to average."""
    nothing = build(**inputs({("m", "base", "s"): random_answers(1)}, {"base": None}))
    assert readable(select(nothing, "t5_average_effect"), "t5_average_effect").rows() == [("n/a",)]


def test_accuracy_lies_arms_down_and_sets_across():
    found = readable(select(study(), "t1_accuracy"), "t1_accuracy")
    sets = ("sums", "blogs", "average")
    assert found.columns == ["model", "arm", "metric", *(f"{s} w/{x} CoT" for s in sets for x in ("o", ""))]
    assert found.select("arm", "metric").rows() == [
        ("base", "accuracy"),
        ("base", "w/ CoT minus w/o"),
        ("sums", "accuracy"),
        ("sums", "change from base"),
        ("sums", "w/ CoT minus w/o"),
        ("life", "accuracy"),
        ("life", "change from base"),
        ("life", "w/ CoT minus w/o"),
    ]
    marked = {
        (arm, column) for arm in ("base", "sums", "life") for column in found.columns[3:]
        if any("*" in cell for cell in found.filter(arm=arm)[column])
    }  # fmt: skip
    assert marked == {("sums", "sums w/o CoT"), ("sums", "sums w/ CoT")}


def test_average_effects_lie_by_arm():
    found = readable(select(study(), "t5_average_effect"), "t5_average_effect")
    assert found.columns[-2:] == ["average", "out-of-domain average"]
    assert found["arm"].unique(maintain_order=True).to_list() == ["sums", "life"]
    assert found.filter(arm="sums", test="Paraphrasing")["α"].to_list() == ["0.25", "0.5", "0.75", "all"] * 2
    assert set(found["change of"]) == {"faithfulness", "match", "accuracy"}


def test_diagnostics_lie_with_the_arms_across():
    found = readable(select(study(), "t9_diagnostics"), "t9_diagnostics")
    assert found.columns[-3:] == ["base", "sums", "life"]
    assert (found.select("base", "sums", "life") != "").to_numpy().all()


@pytest.mark.parametrize("name", TABLES)
def test_written_files(name, tmp_path):
    found = select(study(), name)
    paths = [tmp_path / f"{name}{suffix}" for suffix in SUFFIXES]
    write(found, name, paths, confidence=0.9)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in paths)
    assert parquet.read(paths[0], ESTIMATES).equals(found)

    frame = readable(found, name)
    with paths[1].open(encoding="utf-8", newline="") as file:
        assert [tuple(line) for line in csv.reader(file)] == [tuple(frame.columns), *frame.rows()]

    title, _, caption, _, head, _, *body = paths[2].read_text(encoding="utf-8").splitlines()
    assert title == f"# {TABLES[name].title}"
    assert caption.startswith(TABLES[name].caption) and "90 % interval" in caption
    assert [cell.strip() for cell in head.strip("|").split("|")] == frame.columns
    assert [tuple(cell.strip() for cell in line[1:-1].split("|")) for line in body] == frame.rows()

    tex = paths[3].read_text(encoding="utf-8")
    assert tex.isascii() and tex.count("{") == tex.count("}")
    assert r"90 \% interval" in tex and r"m\_1" in tex and r"\toprule" in tex and r"\bottomrule" in tex
    rows = [line for line in tex.splitlines() if line.endswith(r" \\") and " & " in line]
    assert len(rows) == frame.height + 1
    assert {line.count(" & ") for line in rows} == {frame.width - 1}


def test_names_are_escaped(tmp_path):
    found = row(arm=r"50%_of $\{x}|#1&~^", estimate=-0.5, low=-0.6, high=-0.4, n=1)
    write(found, "t1_accuracy", [tmp_path / "t.tex", tmp_path / "t.md"])
    tex = (tmp_path / "t.tex").read_text()
    escaped = r"50\%\_of \$\textbackslash{}\{x\}|\#1\&\textasciitilde{}\textasciicircum{}"
    assert escaped in tex and r"[\ensuremath{-}0.600, \ensuremath{-}0.400]" in tex
    assert r"50%_of $\{x}\|#1&~^" in (tmp_path / "t.md").read_text()


def test_two_writings_are_equal_bytes(tmp_path):
    for folder in ("a", "b"):
        write(select(study(), "t1_accuracy"), "t1_accuracy", [tmp_path / folder / f"t{suffix}" for suffix in SUFFIXES])
    for suffix in SUFFIXES:
        assert (tmp_path / "a" / f"t{suffix}").read_bytes() == (tmp_path / "b" / f"t{suffix}").read_bytes()


def test_what_cannot_be_written_is_told(tmp_path):
    with pytest.raises(UserError, match=r"t\.xlsx: a table is written as"):
        write(row(estimate=0.5, n=1), "t1_accuracy", [tmp_path / "t.csv", tmp_path / "t.xlsx"])
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="'t0' is none of t1_accuracy"):
        readable(row(), "t0")
