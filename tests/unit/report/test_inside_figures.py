"""What was found inside arms, drawn: by layer, and by the adapter's dose and place."""

from xml.etree import ElementTree

import polars as pl
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from faithtune.core import parquet
from faithtune.core.schemas.probes import INSIDE
from faithtune.report.figures import dose, figures, layers, style
from inside_frames import MODULES, PLACES, by_layer, doses, frame, hidden, row, weights
from recipe_frames import SAMPLING, arm, base

SVG = "{http://www.w3.org/2000/svg}"
CONTEXT = figures.FigureContext([base(), arm("q"), arm("r")], SAMPLING)
ARMS = ("base", "q-s", "r-s")
SETS = ("s & t", "u", "v")


def drawn(name: str, rows: pl.DataFrame, tmp_path) -> tuple[pl.DataFrame, list[str]]:
    found = figures.write(name, rows, CONTEXT, tmp_path / "f.svg", tmp_path / "f.parquet")
    assert parquet.read(tmp_path / "f.parquet", INSIDE).equals(found)
    return found, ["".join(node.itertext()) for node in ElementTree.parse(tmp_path / "f.svg").iter(f"{SVG}text")]


def panels(name: str, rows: pl.DataFrame) -> list:
    """The panels of a figure in the order in which they are made: lines, from the left."""
    what = figures.figure(name)
    with style.drawing():
        made = what.draw(what.points(rows, CONTEXT), CONTEXT)
        FigureCanvasAgg(made).draw()
    return made.axes


def whole_study() -> pl.DataFrame:
    rows = [each for eval_set in SETS for each in by_layer(eval_set, 30, 5, ARMS) + doses(eval_set, ARMS[1:])]
    return frame(*rows, *weights(30, ARMS[1:]), *hidden("u"))


def test_a_line_an_arm_a_column_a_set_a_row_a_measure(tmp_path):
    found, said = drawn("layers", whole_study(), tmp_path)
    assert {*ARMS, *SETS, "layer (0: the embeddings)"} <= set(said)
    assert said.count("the same for all sets") == 2 and "no data" not in said
    assert len(panels("layers", whole_study())) == 8 * 3
    assert found["what"].unique().to_list() == ["value"] and "knockout_changed" in found["measure"]
    assert found.filter(measure="knockout_changed")["last_layer"].null_count() == 0
    first = (tmp_path / "f.svg").read_bytes()
    drawn("layers", whole_study(), tmp_path)
    assert (tmp_path / "f.svg").read_bytes() == first


def test_what_was_not_looked_at_has_no_panel():
    lens = [each for each in by_layer("s") + by_layer("u") if each["measure"] == "lens_p"]
    probe = [each for each in by_layer("u") if each["measure"] == "linear_auc"]
    assert len(panels("layers", frame(*lens))) == 2 * 2
    some = panels("layers", frame(*lens, *probe))
    assert len(some) == 3 * 2
    assert [text.get_text() for text in some[4].texts] == ["no data"] and not some[5].texts
    alone = panels("layers", frame(*weights()))
    assert len(alone) == 1 and not alone[0].texts


def test_layers_of_states_and_of_windows_are_in_line():
    """The first decoder layer, 0, makes the hidden states 1."""
    lens, window = panels(
        "layers",
        frame(
            *(row("lens_p", "cue", 0.1 * layer, layer=layer) for layer in range(5)),
            row("knockout_changed", "chain", 0.2, layer=0, last_layer=1, alpha=1.0),
            row("knockout_changed", "chain", 0.6, layer=2, last_layer=3, alpha=1.0),
        ),
    )
    assert list(lens.lines[0].get_xdata()) == [0, 1, 2, 3, 4]
    assert list(window.lines[0].get_xdata()) == [0.5, 2.5, 2.5, 4.5]
    assert list(window.lines[0].get_ydata()) == [0.2, 0.2, 0.6, 0.6]


def test_the_words_of_the_question_alone_are_a_dotted_line_of_each_arm():
    (panel,) = panels("layers", frame(*(each for each in by_layer() if each["measure"] == "linear_auc")))
    dotted = [line for line in panel.lines if line.get_linestyle() == ":"]
    assert [line.get_ydata()[0] for line in dotted] == [0.6, 0.62]
    assert len(panel.collections) == 2  # a band each


def test_the_weights_of_a_layer_are_the_mean_over_its_modules():
    found = layers.points(frame(*weights(n_layers=2)))
    assert found.schema == INSIDE and found["layer"].to_list() == [0, 1]
    sizes = [0.01 * (1 + j / 2) for j in range(len(MODULES))]
    assert found["estimate"][0] == pytest.approx(sum(sizes) / len(sizes))
    assert found["estimate"][1] == pytest.approx(1.5 * sum(sizes) / len(sizes))


def test_curves_against_the_scale_and_bars_beside_them(tmp_path):
    found, said = drawn("dose", whole_study(), tmp_path)
    assert {"q-s", "r-s", "u, switched off", "λ, scale of the adapter", *PLACES, "nowhere", "everywhere"} <= set(said)
    assert "base" not in said
    assert set(found["measure"]) == {"dose_correct", "dose_correct_no_cot", "dose_match", "dose_same"}
    assert len(panels("dose", whole_study())) == 4 * 2 * 3


def test_bars_are_the_places_between_the_whole_arm_and_base():
    curve, bars = panels("dose", frame(*(each for each in doses() if each["measure"] == "dose_correct")))
    assert list(curve.lines[1].get_xdata()) == [0, 0.25, 0.5, 0.75, 1, 1.25]
    heights = [bar.get_height() for bar in bars.patches]
    by_place = dict(zip([label.get_text() for label in bars.get_xticklabels()], range(7), strict=True))
    assert list(by_place) == ["nowhere", *PLACES, "everywhere"]
    assert heights == pytest.approx([0.6, 0.3, 0.4, 0.5, 0.6, 0.7, 0.2])


def test_without_places_there_are_no_bars():
    assert len(panels("dose", frame(*(each for each in doses() if each["part"] is None)))) == 4


@pytest.mark.parametrize("name", ["layers", "dose"])
def test_a_study_without_probes_says_so(name, tmp_path):
    source = figures.figure(name).source
    found, (said,) = drawn(name, source.read([], {}), tmp_path)
    assert found.is_empty()
    assert said == {"layers": layers, "dose": dose}[name]._NOTHING
    assert drawn(name, frame(*hidden()), tmp_path)[1] == [said]


@pytest.mark.parametrize("name", ["layers", "dose"])
def test_the_legend_lies_within_the_figure(name):
    what = figures.figure(name)
    with style.drawing():
        made = what.draw(what.points(whole_study(), CONTEXT), CONTEXT)
        FigureCanvasAgg(made).draw()
        (legend,) = made.legends
        box = legend.get_window_extent()
        assert box.x0 >= 0 and box.x1 <= made.bbox.width and box.y0 >= 0
        assert all(panel.bbox.height > 60 for panel in made.axes)
