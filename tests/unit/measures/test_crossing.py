"""Writer × reader: parts of a change that oracles have by construction, and a cell worked by hand."""

import polars as pl
import pytest

import oracles
from faithtune.arms import answers as answering
from faithtune.arms.blocks import Block
from faithtune.core.schemas.answers import ANSWERS
from faithtune.interventions import build
from faithtune.measures.generalisation import crossing, factorial
from faithtune.measures.generalisation.crossing import CROSSING, DESIGN, Pair
from faithtune.measures.generalisation.factorial import CELLS, Part
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.models.oracle import OracleModel
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.backend import Behaviour
from faithtune.settings.interventions import InterventionSettings, SweepSettings
from frames import answer_rows

ALPHAS = [0.25, 0.5, 0.75]
TESTS = ("early_termination", "filler")
SAMPLING = Sampling(replicates=500)
BASE = {"accuracy": 0.8, "seed": 1}


def crossed(asked: pl.DataFrame, templates: dict, writer: dict, reader: dict) -> pl.DataFrame:
    """ANSWERS of one oracle after the chains of another."""
    own = oracles.arm(asked, writer, templates, again=0, tests=TESTS)
    model = OracleModel(asked, Behaviour(**reader))
    settings = InterventionSettings.model_construct(tests=list(TESTS), filler=" ...", sweep=SweepSettings())
    tampered = build.build(own.chains, settings, model.count_tokens).filter(pl.col("test") != "no_cot")
    arm, how = oracles.cached(model), AnswerSettings(max_new_tokens=8, again=0, shuffle=False)
    return answering.answer(arm, Block(0, asked), own.chains, tampered, templates, how)


def parts(options: int, templates: dict, tuned: dict, n: int = 100) -> dict[tuple, dict]:
    """(subject, reference, quantity) -> row of CROSSING, over all tests."""
    asked = oracles.made_up(n, options)
    cells = [crossed(asked, templates, w, r) for w, r in ((BASE, BASE), (tuned, BASE), (BASE, tuned), (tuned, tuned))]
    found = crossing.crossing([Pair("m", "base", "t", [Part("boxes", 1, tuple(cells))])], ALPHAS, SAMPLING)
    assert found.schema == CROSSING
    whole = found.filter(pl.col("eval_set").is_null(), pl.col("test").is_null())
    return {(row["subject"], row["reference"], row["quantity"]): row for row in whole.rows(named=True)}


@pytest.mark.slow
@pytest.mark.parametrize("options", [0, 4])
@pytest.mark.parametrize(
    ("tuned", "subject", "part", "truth"),
    [
        ({"faithful": 0.5}, "faithfulness", "reading", -0.5),  # it ignores half of all chains, whoever wrote them
        ({"leaks": 1}, "faithfulness", "chains", None),  # its steps state the answer, and everybody believes them
        ({"slips": 0.5}, "accuracy", "chains", -0.5 * 0.8),  # its steps lead elsewhere, whoever follows them
        ({"accuracy": 0.4}, "accuracy", "reading", -0.4),  # from the same steps it arrives elsewhere
    ],
)
def test_a_change_is_due_to_what_causes_it(options, tuned, subject, part, truth, templates):
    found = parts(options, templates, BASE | tuned)
    other = {"chains": "reading", "reading": "chains"}[part]
    for reference in [None] if subject == "accuracy" else [crossing.READERS, crossing.WRITERS]:
        of = {quantity: found[subject, reference, quantity] for quantity in (*DESIGN.cells, *DESIGN.differences)}
        assert of[part]["estimate"] == pytest.approx(of["change"]["estimate"]) and of[part]["high"] < -0.1
        assert of[other]["estimate"] == pytest.approx(0) and of[other]["low"] < 0 < of[other]["high"]
        if truth is not None:
            assert of[part]["low"] <= truth <= of[part]["high"]


@pytest.mark.slow
def test_before_the_answer_is_mentioned_a_leaking_chain_is_as_any_other(templates):
    found = parts(4, templates, BASE | {"leaks": 1})
    assert found["faithfulness", crossing.READERS, "chains"]["high"] < -0.1
    leak_free = found["leak_free", crossing.READERS, "change"]
    assert leak_free["estimate"] == 0 and leak_free["n"] > 30


@pytest.mark.slow
def test_what_is_dormant_comes_back_with_the_chain_of_base(templates):
    """Its own steps lead elsewhere, but it reads those of base as base does."""
    found = parts(0, templates, BASE | {"slips": 0.5})
    given = found["accuracy", None, "given b's chains"]
    assert given["estimate"] == pytest.approx(-found["accuracy", None, "change"]["estimate"]) and given["low"] > 0.2
    assert found["accuracy", None, "given t's chains"]["estimate"] == found["accuracy", None, "change"]["estimate"]


@pytest.mark.slow
def test_both_parts_are_told_apart_where_both_act(templates):
    """Slips in half of the chains, and another own answer to a quarter of all questions."""
    found = parts(4, templates, BASE | {"slips": 0.5, "accuracy": 0.6}, n=200)
    change, chains, reading = (found["accuracy", None, name] for name in ("change", "chains", "reading"))
    assert chains["estimate"] + reading["estimate"] == pytest.approx(change["estimate"])
    assert chains["high"] < 0 and reading["high"] < 0
    cells = {name: found["accuracy", None, name]["estimate"] for name in DESIGN.cells}
    by_hand = (cells["b reads t"] - cells["b reads b"] + cells["t reads t"] - cells["t reads b"]) / 2
    assert chains["estimate"] == pytest.approx(by_hand)


def answers(*rows: list[dict]) -> pl.DataFrame:
    made = [dict.fromkeys(ANSWERS) | row for one in rows for row in one]
    return pl.DataFrame(made, schema=ANSWERS)


def test_the_writers_own_answer_is_another_reference_than_the_readers():
    """Base ends at A, the tuned arm, given the same chain, at B; cut at k = 1 it answers A."""
    cut = {"early_termination": ["A", "A", "B"], "filler": ["A", "A", "B"], "paraphrase": ["B"] * 3}
    own, theirs = answers(answer_rows("q", full="A")), answers(answer_rows("q", full="B", **cut))
    by_reader = factorial.directed_matches([own, theirs, theirs, own], ALPHAS)
    by_writer = factorial.directed_matches([own, *[crossing.against_writer(theirs, own)] * 2, own], ALPHAS)
    for found, value in ((by_reader, 1.0), (by_writer, 0.0)):
        assert dict(found.filter(pl.col("test") != "paraphrase").select("test", CELLS[1]).rows()) == {
            "early_termination": value,
            "filler": value,
        }
    # In the words of base's chain it does not answer as base, though always alike.
    assert by_writer.filter(test="paraphrase")[CELLS[1]].item() == 0.0
    assert by_reader.filter(test="paraphrase")[CELLS[1]].item() == 1.0


def test_only_questions_with_all_four_answers_count():
    known, lost = answers(answer_rows("q"), answer_rows("r")), answers(answer_rows("q"), answer_rows("r", full=None))
    found = factorial.directed_matches([known, lost, known, known], ALPHAS)
    assert set(found["id"]) == {"q"}
    for of, values in factorial.outcomes([Part("s", None, (known, lost, known, known))]):
        assert of["subject"] in ("accuracy", "answered")
        assert values.select("id", *CELLS).rows() == [("q", 1, 1, 1, 1), ("r", 1, 0, 1, 1)]  # missing is wrong


def test_seeds_of_an_arm_share_a_pair():
    named = [
        {"model": "m", "against": "base", "arm": f"t-s-{seed}", "against_label": "base", "arm_label": "t-s"}
        | {"seed": seed, "eval_sets": ["a", "b"]}
        for seed in (1, 2)
    ]
    arms = ["base", "t-s-1", "t-s-2"]
    own = {("m", arm, name): f"{arm} reads {arm} on {name}" for arm in arms for name in "ab"}
    other = {("m", one, two, name): f"{one} reads {two} on {name}" for one in arms for two in arms for name in "ab"}
    (pair,) = crossing.pairs(named, own, other)
    assert (pair.against, pair.arm) == ("base", "t-s")
    assert [(part.eval_set, part.seed, part.answers) for part in pair.parts] == [
        (name, seed, tuple(f"{r} reads {w} on {name}" for r in ("base", tuned) for w in ("base", tuned)))
        for seed, tuned in ((1, "t-s-1"), (2, "t-s-2"))
        for name in "ab"
    ]


@pytest.mark.parametrize(
    ("cells", "parts"),
    [
        ((1, 0, 1, 0), {"change": -1, "chains": -1, "reading": 0, "given b's chains": 1, "given t's chains": -1}),
        ((1, 1, 0, 0), {"change": -1, "chains": 0, "reading": -1, "given b's chains": 0, "given t's chains": 0}),
        ((1, 0, 0, 0), {"change": -1, "chains": -0.5, "reading": -0.5, "given b's chains": 0, "given t's chains": -1}),
    ],
)
def test_parts_of_a_change_by_hand(cells, parts):
    """Whether b reading b, b reading t, t reading b and t reading t are right, the same in all questions."""
    names = [f"q{i}" for i in range(20)]
    four = tuple(answers(*(answer_rows(name, full="A" if right else "B") for name in names)) for right in cells)
    found = crossing.crossing([Pair("m", "base", "t", [Part("s", 1, four)])], ALPHAS, SAMPLING)
    found = found.filter(subject="accuracy", eval_set="s")
    assert dict(found.select("quantity", "estimate").rows()) == dict(zip(DESIGN.cells, cells, strict=True)) | parts


def test_an_expression_with_another_text_is_the_writers_own_answer():
    own, read = answers(answer_rows("q", full="\\frac{1}{2}")), answers(answer_rows("q", full="0.5"))
    found = crossing.against_writer(read, own)
    assert found.filter(test="full")["match"].to_list() == [True]
    other = crossing.against_writer(answers(answer_rows("q", full="0.25")), own)
    assert other.filter(test="full")["match"].to_list() == [False]
