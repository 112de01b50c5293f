"""The figures of the whole study: their points are the estimates', and what is drawn says which is which."""

from xml.etree import ElementTree

import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from faithtune.core import parquet
from faithtune.measures import pooling
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.report.figures import curves, figures, style, training
from frames import build, chains_of, inputs, random_answers
from recipe_frames import arm, base

SVG = "{http://www.w3.org/2000/svg}"
SETS = ("s & t", "u")
# Of one model; r8 and r16 differ in rank alone.
ARMS = [base(), *(arm(f"r{rank}", on="u", adapter="qlora", rank=rank) for rank in (8, 16))]


@pytest.fixture(scope="module")
def estimates() -> pl.DataFrame:
    frames = {
        ("m", arm["arm"], name): random_answers(10 * i + j) for i, arm in enumerate(ARMS) for j, name in enumerate(SETS)
    }
    return build(**inputs(frames, {arm["arm"]: arm["train_set"] for arm in ARMS}))


def drawn(name: str, data, tmp_path, arms=ARMS) -> tuple[pl.DataFrame, set[str]]:
    """A figure's points, which lie in its Parquet, and the texts in it."""
    study = figures.FigureContext(arms, Sampling(replicates=200))
    found = figures.write(name, data, study, tmp_path / "f.svg", tmp_path / "f.parquet")
    assert parquet.read(tmp_path / "f.parquet", figures.figure(name).schema).equals(found)
    return found, {"".join(node.itertext()) for node in ElementTree.parse(tmp_path / "f.svg").iter(f"{SVG}text")}


@pytest.mark.parametrize("name", ["heat_map", "forest", "trade_off"])
def test_effects_are_those_of_the_estimates(estimates, tmp_path, name):
    found, texts = drawn(name, estimates, tmp_path)
    assert found.height == 2 * 3 * 4  # tuned arms; two sets and their average; accuracy and three tests
    row = found.row(
        by_predicate=(pl.col("arm") == "r8-u") & (pl.col("eval_set") == "u") & (pl.col("what") == "filler"), named=True
    )
    same = estimates.filter(arm="r8-u", eval_set="u", test="filler", metric="faithfulness_effect")
    same = same.filter(pl.col("alpha").is_null()).row(0, named=True)
    assert same["estimate"] is not None and same["n"] > 0
    assert [row[key] for key in ("effect", "low", "high", "p", "n")] == [
        same[key] for key in ("estimate", "low", "high", "p", "n")
    ]
    assert row["rank"] == 8
    accuracy = found.filter(arm="r16-u", eval_set="average", what="accuracy").row(0, named=True)
    mean = found.filter(arm="r16-u", what="accuracy").filter(pl.col("eval_set") != "average")["effect"].mean()
    assert accuracy["effect"] == pytest.approx(mean)
    said = " ".join(texts)
    assert "r8-u" in said and "r16-u" in said and "s & t" in said


def test_the_heat_map_says_each_number_with_its_sign(estimates, tmp_path):
    found, texts = drawn("heat_map", estimates, tmp_path)
    shown = {text.rstrip("†") for text in texts}
    assert {f"{effect:+.2f}".replace("-0.00", "+0.00") for effect in found["effect"]} <= shown
    assert "-0.00" not in shown
    assert any(text.endswith("†") for text in texts) == found["at_chance"].any()
    bare = estimates.with_columns(estimate=pl.when(pl.col("eval_set") == "u").then(None).otherwise("estimate"))
    assert "n/a" in drawn("heat_map", bare, tmp_path)[1]


def test_the_forest_says_every_n(estimates, tmp_path):
    found, texts = drawn("forest", estimates, tmp_path)
    assert {str(n) for n in found["n"]} <= {text.rstrip("†") for text in texts}
    assert {"u: r8-u", "s & t: r16-u", "average: r8-u"} <= texts


@pytest.mark.slow
def test_several_models_are_told_apart(estimates, tmp_path):
    other = estimates.with_columns(model=pl.lit("large"))
    arms = [*ARMS, *(arm | {"model": "large"} for arm in ARMS)]
    for name in ("heat_map", "forest", "trade_off", "ranks"):
        assert "large" in " ".join(drawn(name, pl.concat([estimates, other]), tmp_path, arms)[1])


def test_only_arms_that_differ_in_rank_alone_are_compared_by_rank(estimates, tmp_path):
    found, texts = drawn("ranks", estimates, tmp_path)
    assert found["rank"].unique().sort().to_list() == [8, 16]
    assert {"8", "16"} <= texts
    other = [*ARMS[:2], arm("r16", on="u", adapter="lora", rank=16)]
    found, texts = drawn("ranks", estimates, tmp_path, other)
    assert found.is_empty() and texts == {"the study has no arms that differ in rank alone"}


@pytest.mark.parametrize("name", ["heat_map", "forest", "trade_off"])
def test_a_study_without_tuning_says_so(estimates, tmp_path, name):
    found, texts = drawn(name, estimates.filter(arm="base"), tmp_path, ARMS[:1])
    assert found.is_empty() and texts == {"the study has no tuned arm"}


def test_two_ablations_on_one_set_are_two_lines(estimates, tmp_path):
    twins = estimates.filter(pl.col("arm") != "base").with_columns(arm=pl.col("arm").str.replace("r", "l"))
    arms = [*ARMS, *(arm(f"l{rank}", on="u", adapter="lora", rank=rank) for rank in (8, 16))]
    found, texts = drawn("ranks", pl.concat([estimates, twins]), tmp_path, arms)
    assert found["ablation"].unique().sort().to_list() == ["l16, l8", "r16, r8"]
    assert {"tuned on u (r16, r8)", "tuned on u (l16, l8)"} <= texts


def test_what_is_at_chance_is_what_the_tables_mark(estimates, tmp_path):
    chance = (
        estimates.filter(pl.col("metric") == "above_chance", pl.col("low").round(2) <= 0)
        .select("arm", "eval_set")
        .rows()
    )
    found, _ = drawn("forest", estimates, tmp_path)
    for row in found.filter(pl.col("eval_set") != "average").rows(named=True):
        marked = bool({("base", row["eval_set"]), (row["arm"], row["eval_set"])} & set(chance))
        assert row["at_chance"] == marked


@pytest.mark.parametrize(("low", "bold"), [(-1.0, False), (0.1, True)])
def test_bold_is_what_leaves_0_out(estimates, tmp_path, low, bold):
    drawn("heat_map", estimates.with_columns(low=pl.lit(low), high=pl.lit(1.0)), tmp_path)
    assert ("font-weight: 700" in (tmp_path / "f.svg").read_text()) == bold


# Their points come from other data, and their own tests draw them.
ELSEWHERE = (figures.JUDGED, figures.COMPARED, figures.CURVED, figures.LOOKED_INTO)


@pytest.mark.parametrize("name", [name for name, each in figures.FIGURES.items() if each.source not in ELSEWHERE])
def test_the_legend_lies_within_the_figure(estimates, name):
    """With the arms of the paper's study."""
    labels = [f"qlora{tail}-{on}" for on in ("gsm8k", "medqa", "medmcqa", "cosmosqa") for tail in ("", "_r8", "_r32")]
    arms = [("llama3_8b", label) for label in labels] + [("large", label) for label in labels[::3]]
    drawn_of = {
        "lengths": curves.lengths({(*arm, "u"): chains_of(random_answers(1)) for arm in arms}),
        "training": training.losses({(*arm, 1): pl.DataFrame({"step": [1], "loss": [1.0]}) for arm in arms}),
    }
    if name not in drawn_of:
        rows = [estimates.filter(arm="r8-u").with_columns(model=pl.lit(m), arm=pl.lit(a)) for m, a in arms]
        table = [arm(a, model=m, on=f"s{i // 2}", rank=8 + i % 2) | {"arm": a} for i, (m, a) in enumerate(arms)]
        drawn_of[name] = figures.figure(name).points(
            pl.concat([estimates, *rows]), figures.FigureContext([*ARMS, *table])
        )
    with style.drawing():
        made = figures.figure(name).draw(drawn_of[name], figures.FigureContext())
        FigureCanvasAgg(made).draw()
        for legend in made.legends:
            box = legend.get_window_extent()
            assert box.x0 >= 0 and box.x1 <= made.bbox.width and box.y0 >= 0, (box, made.bbox)
        assert all(panel.bbox.height > 60 for panel in made.axes)


def test_the_shares_of_lengths_add_up(tmp_path):
    frames = {("m", f"a-{seed}", "u"): chains_of(random_answers(seed)) for seed in (1, 2)}
    arms = [
        {"model": "m", "arm": f"a-{s}", "label": "a", "seed": s, "train_set": "u", "eval_sets": ["u"]} for s in (1, 2)
    ]
    found, texts = drawn("lengths", pooling.pool(arms, frames), tmp_path)
    every = pl.concat(frames.values())
    for unit, column in curves.UNITS.items():
        points = found.filter(unit=unit)
        assert points["n"].unique().to_list() == [80]
        assert points["n_truncated"].unique().to_list() == [(every["outcome"] == "truncated").sum()]
        assert points["share"][-1] == 1 and points["length"].is_sorted()
        half = points["length"][points.height // 2]
        assert points.filter(length=half)["share"].item() == pytest.approx((every[column] <= half).mean())
    assert {"a", "steps, at most", "tokens, at most"} <= texts


def test_chains_of_unknown_length_are_in_no_n(tmp_path):
    frame = chains_of(random_answers(1)).with_columns(n_tokens=pl.lit(None, pl.Int32))
    found, _ = drawn("lengths", {("m", "a", "u"): frame}, tmp_path)
    assert found["unit"].unique().to_list() == ["steps"]


def test_losses_are_the_logs(tmp_path):
    log = pl.DataFrame({"step": [1, 2, 3], "loss": [2.0, 1.0, None]})
    logs = {("m", "a", 1): log, ("m", "a", 2): log, ("n", "b", 1): log.clear()}
    found, texts = drawn("training", logs, tmp_path)
    assert found.rows() == [("m", "a", s, i, loss) for s in (1, 2) for i, loss in ((1, 2.0), (2, 1.0))]
    assert found.schema == training.LOSSES
    assert {"a", "m", "optimiser steps"} <= texts
    assert drawn("training", {}, tmp_path)[1] == {"the study tunes no arm, or no log of a training tells a loss"}


@pytest.mark.slow
def test_two_drawings_are_equal_bytes(estimates, tmp_path):
    for name in figures.FIGURES:
        if figures.figure(name).source is figures.ESTIMATED:
            svgs = []
            for _ in range(2):
                drawn(name, estimates, tmp_path)
                svgs.append((tmp_path / "f.svg").read_bytes())
            assert svgs[0] == svgs[1]


def test_every_figure_has_a_caption_and_a_name_of_its_own():
    names = figures.names(["a", "match_a"])
    assert len(set(names)) == len(names)
    captions = [figures.figure(name).caption for name in names]
    assert len(set(captions)) == len(names) and "{" not in "".join(captions)
    assert figures.eval_set("match_match_a") == "match_a" and figures.eval_set("forest") is None
