"""The figures of recipes: the front of accuracy and faithfulness, and ablations of any key."""

from xml.etree import ElementTree

import polars as pl
import pytest

from faithtune.core import parquet
from faithtune.report.ablations import ablated, find_ablations
from faithtune.report.figures import figures, recipes, style
from recipe_frames import SAMPLING, arm, base, compared

SVG = "{http://www.w3.org/2000/svg}"
ARMS = [base(), *(arm(name) for name in ("best", "faithful", "dominated", "twin"))]
MEANS = {
    "best": {"accuracy": 0.3, "faithfulness": -0.2},
    "faithful": {"accuracy": 0.1, "faithfulness": 0.1},
    "dominated": {"accuracy": 0.1, "faithfulness": -0.1},
    "twin": {"accuracy": -0.4, "faithfulness": -0.4},
}


def drawn(name: str, arms: list[dict], means: dict, tmp_path) -> tuple[pl.DataFrame, list[str]]:
    """A figure's points, which lie in its Parquet, and the texts in it."""
    context = figures.FigureContext(arms, SAMPLING)
    found = figures.write(name, compared(arms, means), context, tmp_path / "f.svg", tmp_path / "f.parquet")
    assert parquet.read(tmp_path / "f.parquet", figures.figure(name).schema).equals(found)
    return found, ["".join(node.itertext()) for node in ElementTree.parse(tmp_path / "f.svg").iter(f"{SVG}text")]


def test_the_front_is_of_the_arms_that_no_other_dominates(tmp_path):
    found, said = drawn("recipes", ARMS, MEANS, tmp_path)
    assert found.filter("on_front")["arm"].to_list() == ["best-s", "faithful-s"]
    one = found.row(0, named=True)
    assert one["accuracy"] == pytest.approx(0.3) and one["faithfulness"] == pytest.approx(-0.2)
    assert one["accuracy_low"] < 0.3 < one["accuracy_high"] and one["faithfulness_low"] < -0.2
    assert {"best-s", "faithful-s", "dominated-s", "twin-s"} <= set(said)


def test_arms_of_another_model_and_equal_arms_do_not_dominate():
    rows = [("m", "a", 0.1, 0.1), ("m", "b", 0.1, 0.1), ("n", "c", 0.0, 0.0), ("n", "d", -0.1, 0.0)]
    frame = pl.DataFrame(
        [
            {"model": model, "arm": name, "against": "base", "subject": subject, "estimate": value}
            for model, name, *changes in rows
            for subject, value in zip(("accuracy", "faithfulness"), changes, strict=True)
        ],
        schema=figures.RECIPES,
    )
    assert recipes.points(frame)["on_front"].to_list() == [True, True, True, False]


def test_an_arm_has_the_colour_that_it_has_everywhere(tmp_path):
    drawn("recipes", ARMS, MEANS, tmp_path)
    text = (tmp_path / "f.svg").read_text(encoding="utf-8").lower()
    looks = style.ArmLooks([(one["model"], one["arm"]) for one in ARMS])
    for one in ARMS[1:]:
        assert looks.look("m", one["arm"])["color"].lower() in text


@pytest.mark.parametrize("name", ["recipes", "ablations"])
def test_a_study_of_one_recipe_says_so(name, tmp_path):
    found, said = drawn(name, ARMS[:2], MEANS, tmp_path)
    assert found.is_empty() and len(said) == 1 and said[0].startswith("the study")


def groups(arms: list[dict]) -> dict[str, list[list[str]]]:
    """The tunings of each ablation, by its key."""
    found = {}
    for one in find_ablations(arms):
        found.setdefault(one.key, []).append([arm["tuning"] for arm in one.arms])
    return found


def test_any_key_is_an_ablation():
    long, wide = arm("long", epochs=9, lists=["q"]), arm("wide", epochs=3, lists=["q", "v"])
    arms = [base(), arm("plain", epochs=3, lists=["q"]), long, wide, arm("other", on="t", epochs=5, lists=["q"])]
    assert groups(arms) == {"epochs": [["plain", "long"]], "lists": [["plain", "wide"]]}
    assert ablated(arms) == []


def test_settings_at_their_defaults_count_as_equal():
    """The learning rate of full tuning is another by default; set by hand, it is another recipe."""
    low = arm("lora", learning_rate=2e-4, defaults=["learning_rate", "rank"])
    full = arm("full", adapter="full", learning_rate=2e-5, rank=None, defaults=["learning_rate", "rank"])
    assert groups([low, full]) == {"adapter": [["lora", "full"]]}
    full["defaults"] = ["rank"]
    assert groups([low, full]) == {}


def test_ablations_are_the_changes_by_the_value_of_a_key(tmp_path):
    arms = [
        base(),
        *(arm(f"r{rank}", rank=rank) for rank in (32, 8)),
        *(arm(f"{name}8", adapter=name, rank=8) for name in ("dora", "full")),
    ]
    means = {one["tuning"]: {"accuracy": i / 10, "faithfulness": -i / 10} for i, one in enumerate(arms[1:])}
    found, said = drawn("ablations", arms, means, tmp_path)
    assert found["key"].unique(maintain_order=True).to_list() == ["adapter", "rank"]
    ranks = found.filter(key="rank", subject="accuracy").sort("place")
    assert ranks.select("value", "arm", "number").rows() == [("8", "r8-s", True), ("32", "r32-s", True)]
    assert ranks["change"].to_list() == pytest.approx([0.1, 0.0])
    adapters = found.filter(key="adapter", subject="faithfulness").sort("place")
    assert adapters["value"].to_list() == ["lora", "dora", "full"] and not adapters["number"].any()
    assert adapters["change"].to_list() == pytest.approx([-0.1, -0.2, -0.3])
    assert {"rank", "adapter", "8", "32", "lora", "dora", "full"} <= set(said)


@pytest.mark.parametrize("name", ["recipes", "ablations"])
def test_several_models_are_told_apart_and_two_drawings_are_equal(name, tmp_path):
    arms = [one for model in ("m", "n") for one in (base(model), arm("a", model=model, rank=8), arm("b", model=model))]
    means = {"a": {"accuracy": 0.1}, "b": {}}
    _, said = drawn(name, arms, means, tmp_path)
    first = (tmp_path / "f.svg").read_bytes()
    assert any("n" in text.split() for text in said)
    drawn(name, arms, means, tmp_path)
    assert (tmp_path / "f.svg").read_bytes() == first
