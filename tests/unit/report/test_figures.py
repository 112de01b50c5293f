"""The points of the curves, and the figure drawn of them."""

from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.report.figures import figures
from faithtune.report.figures.match import CURVES, FRACTIONS, curves
from frames import TRUNCATED, UNAVAILABLE, answer_rows, answers, build, inputs, random_answers

SAMPLING = Sampling(replicates=200)
SVG = "{http://www.w3.org/2000/svg}"


def match_curve(frames: dict, eval_set: str, svg: Path, data: Path, replicates: int = 200) -> pl.DataFrame:
    return figures.write(
        f"match_{eval_set}", frames, figures.FigureContext((), Sampling(replicates=replicates)), svg, data
    )


def pooled(frames: dict[tuple[str, str], pl.DataFrame], of: str = "s") -> dict:
    """Each arm's ANSWERS on a set as `pooling.pool` makes them of one seed."""
    return {(*key, of): frame.with_columns(seed=pl.lit(None, pl.Int64)) for key, frame in frames.items()}


def test_a_question_is_a_step_function_of_the_kept_fraction():
    """Of 2 steps the first is kept from just above 0 to 0.5; of 4, each for a quarter. Then both are whole until 1."""
    frame = answers(
        answer_rows("two", n=2, early_termination=["A", "B", "A"]),
        answer_rows("four", n=4, early_termination=["A", "A", "A", "B", "A"]),
    )
    found = curves(pooled({("m", "base"): frame}), "s", SAMPLING).filter(test="early_termination")
    assert found["fraction"].to_list() == [f for f in FRACTIONS if f <= 0.75 or f == 1]
    at = dict(found.select("fraction", "match").rows())
    assert at[0] == 1 and at[1] == 1
    assert {at[f] for f in FRACTIONS if 0 < f <= 0.5} == {0.5}  # two differs, four matches
    assert {at[f] for f in FRACTIONS if 0.5 < f <= 0.75} == {0}  # two is whole, four differs


def test_who_counts():
    frame = answers(
        answer_rows("q", filler=[None, "A", "A"], paraphrase=[UNAVAILABLE, UNAVAILABLE, "A"]),
        answer_rows("r"),
        answer_rows("cut", filler=[TRUNCATED, "A", "A"]),
        answer_rows("collapsed", n=0),
    )
    found = curves(pooled({("m", "base"): frame}), "s", SAMPLING).filter(fraction=0)
    columns = ("match", "n", "n_unanswered", "n_truncated")
    assert found.filter(test="filler").select(columns).row(0) == (1, 3, 1, 1)
    assert found.filter(test="paraphrase").select(columns).row(0) == (1, 2, 0, 0)


@pytest.mark.parametrize("groups", [None, 12])
def test_a_curve_passes_through_the_tables(groups):
    frames = {("m", arm): random_answers(i, groups=groups) for i, arm in enumerate(("base", "tuned"))}
    given = inputs({(*key, "s"): frame for key, frame in frames.items()}, {"base": None, "tuned": None})
    names = ["model", "arm", "eval_set", "test", "alpha", "match", "low", "high", "n", "n_unanswered"]
    table = build(**given).filter(metric="match").rename({"estimate": "match"}).select(names)
    points = curves(pooled(frames), "s", Sampling(replicates=given["replicates"])).rename({"fraction": "alpha"})
    assert table.height == 2 * 3 * 3
    assert points.select(names).join(table, on=names).height == table.height


def test_the_figure_and_its_data(tmp_path):
    frames = {("m", arm): random_answers(i) for i, arm in enumerate(("base", "tuned <1>"))}
    found = match_curve(pooled(frames, "s & t"), "s & t", tmp_path / "f.svg", tmp_path / "f.parquet")
    assert found.schema == CURVES
    assert parquet.read(tmp_path / "f.parquet", CURVES).equals(found)
    texts = {"".join(node.itertext()) for node in ElementTree.parse(tmp_path / "f.svg").iter(f"{SVG}text")}
    assert {"Early Termination", "Filler Substitution", "Paraphrasing", "base", "tuned <1>"} <= texts
    assert any(text.startswith("s & t: match") for text in texts)


def test_two_drawings_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        match_curve(
            pooled({("m", "base"): random_answers(1)}), "s", tmp_path / f"{name}.svg", tmp_path / f"{name}.parquet"
        )
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()


def test_lines_differ_without_colour(tmp_path):
    frames = {("m", f"arm{i}"): random_answers(i) for i in range(3)}
    match_curve(pooled(frames), "s", tmp_path / "f.svg", tmp_path / "f.parquet", 50)
    tree = ElementTree.parse(tmp_path / "f.svg")
    panel = next(node for node in tree.iter(f"{SVG}g") if node.get("id") == "axes_1")
    styles = [
        node.find(f"{SVG}path").get("style")
        for node in panel.iter(f"{SVG}g")
        if (node.get("id") or "").startswith("line2d") and node.find(f"{SVG}path") is not None
    ]
    curves_drawn = [style for style in styles if "stroke-width: 1.3" in style]
    dashes = {style.partition("stroke-dasharray:")[2].partition(";")[0] for style in curves_drawn}
    assert len(curves_drawn) == len(dashes) == 3


@pytest.mark.parametrize("frame", [answers(answer_rows("q", n=0)), answers()], ids=["collapsed", "no questions"])
def test_nothing_to_draw(frame, tmp_path):
    found = match_curve(pooled({("m", "base"): frame}), "s", tmp_path / "f.svg", tmp_path / "f.parquet")
    assert found.is_empty() and found.schema == CURVES
    assert "no chain here could be tampered with" in "".join(ElementTree.parse(tmp_path / "f.svg").getroot().itertext())


def test_all_unanswered_leaves_a_gap(tmp_path):
    frame = answers(*(answer_rows(f"q{i}", filler=[None, "A", "A"]) for i in range(3)))
    found = match_curve(pooled({("m", "base"): frame}), "s", tmp_path / "f.svg", tmp_path / "f.parquet")
    gap = found.filter(pl.col("test") == "filler", pl.col("fraction") == 0)
    assert gap.select("match", "low", "high", "n").row(0) == (None, None, None, 3)
