"""What the item viewer gets of probes: numbers by question, without layers, windows and heads."""

import polars as pl

import viewed
from faithtune.core.schemas.probes import PROBES
from faithtune.probes import attention
from faithtune.probes.registry import BEFORE, CUE, QUESTION, STEP
from faithtune.report import inside, viewer


def found_at_first(number: str = "js") -> dict:
    return inside.by_question(viewed.probes(1, 3, number))["q0"]


def test_cuts_are_marked_at_every_k_with_their_number():
    found = found_at_first()
    assert found["number"] == "js"
    assert found["cuts"] == {
        "knockout": {
            "chain": [["x", 0.1], ["x", 0.2]],
            "random_chain": [["?", 0.02], ["?", 0.02]],
            "question": [["=", 0.0], ["=", 0.0]],
            "random_question": [[".", 0.03], [".", 0.03]],
        },
        "removal": {"chain": [["x", 0.2], ["x", 0.4]], "question": [["=", 0.04], ["=", 0.04]]},
    }


def test_numbers_have_the_change_of_log_p():
    found = found_at_first("log_p")
    assert found["number"] == "log_p" and found["cuts"]["knockout"]["chain"] == [["x", 0.1], ["x", 0.2]]


def test_options_show_the_divergence_though_they_have_both():
    both = pl.concat([viewed.probes(0, 1, "js"), viewed.probes(0, 1, "log_p").with_columns(value=pl.lit(-9.0))])
    found = inside.by_question(both.filter(pl.col("measure").str.contains("_(js|log_p|changed)$")))["q0"]
    assert found["number"] == "js" and found["cuts"]["removal"]["chain"][1][1] == 0.4


def test_expressions_have_no_number():
    rows = viewed.probes(0, 1).filter(measure="knockout_changed")
    found = inside.by_question(rows)["q0"]
    assert found["number"] is None and found["cuts"]["knockout"]["chain"] == [["=", None], ["x", None]]


def test_parts_have_the_mean_over_layers_and_the_last_layer():
    """As constructed: shares are means over three layers, p is (j + 1) * 3 / 20 + 1 / 4 in the last one."""
    found = found_at_first()
    assert found["layers"] == 3
    assert found["parts"] == [
        ["first", None, 20, 0.5, None, None],
        ["template", None, 20, 0.05, None, None],
        ["prompt", None, 20, 0.05, None, None],
        ["question", None, 20, 0.1, None, None],
        ["before", None, None, None, 0.4, None],
        ["step", 1, 20, 0.04, 0.55, None],
        ["step", 2, 20, 0.16, 0.7, 2],
        ["cue", None, 20, 0.1, 0.85, 1],
    ]


def test_steps_stand_in_the_order_of_their_numbers():
    rows = [{"id": "a", "measure": "tokens", "part": "step", "k": k, "value": 1.0} for k in (10, 9, 2)]
    found = inside.by_question(pl.DataFrame(rows, schema=PROBES))["a"]
    assert [k for _, k, *_ in found["parts"]] == [2, 9, 10] and "cuts" not in found


def test_what_is_not_of_a_question_is_left_out():
    rows = viewed.probes(1, 2).filter(pl.col("measure").is_in(["kl"]) | pl.col("id").is_null())
    assert rows.height > 0 and inside.by_question(rows) == {}


def test_details_say_which_questions_were_looked_at():
    one = viewed.pair(1, 4)
    ids = ["q0", "q3"]
    probed = viewer.details(ids, one._replace(probes=viewed.probes(1, 3)))
    assert probed[0]["inside"] == found_at_first() and probed[1]["inside"] is None


def test_without_probes_a_page_has_what_it_had():
    one = viewed.pair(1, 2)
    probed, plain = (viewer.details(["q0"], each)[0] for each in (one._replace(probes=viewed.probes(1, 2)), one))
    assert "inside" not in plain and probed == plain | {"inside": probed["inside"]}
    # Nor where probes looked at weights alone.
    assert viewer.details(["q0"], one._replace(probes=pl.DataFrame(schema=PROBES))) == [plain]


def test_every_part_that_attention_is_divided_into_has_a_place_and_a_name():
    parts = {attention.FIRST, attention.TEMPLATE, attention.USER, QUESTION, BEFORE, STEP, CUE}
    assert parts == set(inside.PARTS)
    page = (viewer.PAGE / "inside.js").read_text("utf-8")
    assert all(f" {part}: " in page for part in parts - {STEP})
    assert all(f" {part}: " in page for of in inside.CUTS.values() for part in of)
