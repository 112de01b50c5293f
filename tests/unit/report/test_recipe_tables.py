"""T14: what each recipe changed and took, an arm a line, narrow in print."""

import polars as pl
import pytest

from estimates import row
from faithtune.core.schemas.estimates import ESTIMATES
from faithtune.report.tables import texts
from faithtune.report.tables.cells import SHORT, TableContext
from faithtune.report.tables.layouts.main import panels
from faithtune.report.tables.recipes import COMPARISON, compared
from faithtune.report.tables.tables import TABLES, readable
from faithtune.report.tables.write import write
from recipe_frames import arm, base
from recipe_frames import compared as recipes_of

NAME, SUPPLEMENT = "t14_recipes", "s14_recipes"
ORIGIN = {"code": {"commit": "c0ffee", "changed": False}, "configuration": {"seed": 1}, "data": {}}
ARMS = [base(), arm("plain"), arm("worse", adapter="full")]
MEANS = {"plain": {"accuracy": 0.1, "faithfulness": 0.01}, "worse": {"accuracy": -0.4, "faithfulness": -0.3}}
CARDS = [
    {"change": {"norm": 2.0, "relative": 0.0123}, "seen": 1560, "tokens": 90},
    {"change": {"norm": 9.0, "relative": 0.5}, "seen": 1560, "tokens": 6000},
]
NOTHING = pl.DataFrame(schema=ESTIMATES)


def rows(estimates: pl.DataFrame = NOTHING, cards=CARDS, reference: str | None = "plain") -> pl.DataFrame:
    named = [{"model": "m", "arm": one["arm"]} for one in ARMS[1:]]
    return compared(recipes_of(ARMS, MEANS, reference), estimates, named[: len(cards)], cards)


def shown(found: pl.DataFrame, arms=ARMS) -> pl.DataFrame:
    return readable(found, NAME, TableContext(arms))


def test_an_arm_is_a_line_with_its_recipe_and_what_it_took():
    found = rows()
    assert found.schema == COMPARISON
    frame = shown(found)
    assert frame.columns == [
        *("model", "compared", "arm", "accuracy w/ CoT", "CoT lift", "faithfulness", "valid chains"),
        *("Early Termination", "Filler Substitution", "Paraphrasing"),
        *("method", "adapter", "‖ΔW‖/‖W‖", "examples seen", "tokens"),  # no KL: nobody has it
    ]
    assert frame.select("compared", "arm").rows() == [
        *(("minus base", name) for name in ("plain-s", "worse-s", "n")),
        *(("minus plain-s", name) for name in ("worse-s", "n")),
    ]
    plain, worse, counts, against, _ = frame.rows(named=True)
    assert worse["accuracy w/ CoT"].startswith("**-0.40** ") and against["accuracy w/ CoT"].startswith("**-0.50** ")
    assert [worse[name] for name in frame.columns[-5:]] == ["sft", "full", "0.5", "1,560", "6,000"]
    assert plain["‖ΔW‖/‖W‖"] == "0.012" and counts["accuracy w/ CoT"] == "160" and counts["method"] == ""
    assert [against[name] for name in frame.columns[-5:]] == [""] * 5


def test_bold_goes_by_p_after_holm():
    found = rows().with_columns(p_holm=pl.when(pl.col("family") == "base").then(0.06).otherwise(0.04))
    cells = {cell for line in shown(found).filter(compared="minus base").rows() for cell in line}
    assert not any(cell.startswith("**") for cell in cells)
    assert shown(found)["accuracy w/ CoT"][3].startswith("**")


def test_chance_is_of_the_arm_or_of_what_it_is_compared_with():
    def marked(*low: str) -> list[bool]:
        known = [row(arm=name, metric="above_chance", low=-0.1) for name in low]
        frame = shown(rows(pl.DataFrame(known, schema=ESTIMATES)))
        assert not any("†" in cell for cell in frame["valid chains"])
        return ["†" in cell for cell in frame["faithfulness"] if SHORT.fullmatch(cell)]

    assert marked("base") == [True, True, False]  # plain and worse minus base, worse minus plain
    assert marked("plain-s") == [True, False, True]
    assert marked() == [False] * 3


def test_divergence_is_that_of_the_estimates_and_costs_are_means_over_seeds():
    known = pl.DataFrame([row(arm="worse-s", metric="token_divergence", estimate=0.123, test=None)], schema=ESTIMATES)
    cards = [CARDS[0], CARDS[0] | {"tokens": 30}]
    named = [{"model": "m", "arm": "plain-s"}] * 2
    found = compared(recipes_of(ARMS, MEANS), known, named, cards)
    frame = shown(found)
    assert frame["KL"].to_list() == ["", "0.12", ""] and frame["tokens"].to_list() == ["60", "", ""]
    assert frame["adapter"].to_list() == ["lora", "full", ""]


def test_arms_without_a_card_and_without_lift_leave_no_columns():
    frame = shown(rows(cards=[]), arms=[])
    assert frame.columns[-1] == "Paraphrasing"
    hosted = rows(cards=[{"settings": {}, "examples": 9}])  # a host says none of it
    assert shown(hosted).columns[-2:] == ["method", "adapter"]


def test_print_is_narrow_and_has_all_columns():
    arms = [base("smollm2_135m_instruct")]
    arms += [arm(f"qlora_r{rank}", "arithmetic1", "smollm2_135m_instruct") for rank in (8, 16, 32)]
    found = recipes_of(arms, {one["tuning"]: {"accuracy": -0.3} for one in arms[1:]}, "qlora_r8")
    cards = [CARDS[0]] * 3
    named = [{"model": one["model"], "arm": one["arm"]} for one in arms[1:]]
    low = [row(model=arms[0]["model"], arm="base", metric="above_chance", low=-0.1)]
    found = compared(found, pl.DataFrame(low, schema=ESTIMATES), named, cards).with_columns(p_holm=0.001)
    frame = readable(found, NAME, TableContext(arms))
    parts = dict(panels(frame))
    model = "smollm2_135m_instruct"
    assert list(parts) == [
        *(f"{model}, minus base{more}" for more in ("", ": faithfulness by test", ": recipe")),
        *(f"{model}, minus qlora_r8-arithmetic1{more}" for more in ("", ": faithfulness by test")),
    ]
    assert {name for part in parts.values() for name in part.columns} == {*frame.columns} - {"model", "compared"}
    assert max(part.width for part in parts.values()) <= 10
    assert parts[f"{model}, minus base: recipe"]["arm"].to_list() == [one["arm"] for one in arms[1:]]  # without n


def test_its_files(tmp_path):
    for name in (NAME, SUPPLEMENT):
        write(
            rows(),
            name,
            [tmp_path / f"{name}.{end}" for end in ("md", "csv", "tex", "parquet")],
            TableContext(ARMS),
            ORIGIN,
        )
    text = (tmp_path / f"{NAME}.md").read_text(encoding="utf-8")
    assert max(map(len, text.splitlines())) <= 120
    assert "Bold: difference with p < 0.05 (Holm)." in text and "\nm, minus plain-s: faithfulness by test\n" in text
    tex = (tmp_path / f"{NAME}.tex").read_text(encoding="utf-8")
    assert tex.isascii() and tex.count(r"\midrule" "\n" "arm & ") == 4  # a head of its own for each other part
    assert r"\ensuremath{\Vert}\ensuremath{\Delta}W" in tex


def test_the_supplement_has_a_line_for_each_number():
    found = rows()
    lines = readable(found, SUPPLEMENT, TableContext(ARMS))
    assert lines.height == found.height and TABLES[SUPPLEMENT].source is TABLES[NAME].source
    first = lines.filter(pl.col("arm") == "worse-s", compared="minus plain-s", what="accuracy w/ CoT").row(
        0, named=True
    )
    assert first["estimate"] == "-0.500" and first["n"] == "160" and first["p (Holm)"] == "<0.001"
    assert first["interval"].startswith("[-0.5")
    moved = lines.filter(arm="worse-s", what="‖ΔW‖/‖W‖").row(0, named=True)
    assert (moved["estimate"], moved["interval"], moved["n"]) == ("0.5", "", "")


@pytest.mark.parametrize("name", [NAME, SUPPLEMENT])
def test_a_study_of_one_recipe_says_so(name):
    found = compared(recipes_of(ARMS[:2], MEANS), NOTHING, [{"model": "m", "arm": "plain-s"}], CARDS[:1])
    assert found.is_empty()
    frame = readable(found, name, TableContext(ARMS[:2]))
    assert frame.rows() == [("The study does not have two tuned arms.",)]
    assert texts.around(found, frame, name, TableContext()) == texts.Texts()
