"""All looks at an arm together, on what it really wrote and answered."""

import polars as pl
import pytest

import small
from faithtune.arms import answers, chains
from faithtune.arms.blocks import Block
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.core.schemas.chains import CHAINS
from faithtune.core.schemas.probes import PROBES
from faithtune.core.schemas.questions import QUESTIONS
from faithtune.interventions import build
from faithtune.probes import registry
from faithtune.probes.probe import How, Side, probe
from faithtune.settings.answers import AnswerSettings
from faithtune.settings.chains import ChainSettings
from faithtune.settings.interventions import InterventionSettings, SweepSettings
from faithtune.settings.optional import ProbeSettings

TEMPLATES = {f"{form}_{kind}": f"{form} {{question}}" for form in ("cot", "no_cot") for kind in ("choice", "number")}
ANSWERS = AnswerSettings(max_new_tokens=3, min_option_mass=0, again=0, shuffle=False)
TAMPERING = InterventionSettings(tests=["early_termination"], filler=" ...", sweep=SweepSettings())


def asked() -> pl.DataFrame:
    """40 choices, each in a group of its own, a number, and a choice whose chain was cut."""
    about = {"source_id": "0", "data_set": "d", "split": "eval", "context": None, "rationale": None}
    rows = [
        about | {"id": f"c{i}", "group": f"c{i}", "kind": "choice", "question": f"red plus {i}?", "answer": "A"}
        for i in range(40)
    ]
    rows += [rows[0] | {"id": "cut", "group": "cut"}]
    rows = [row | {"options": ["red", "blue"]} for row in rows]
    rows += [about | {"id": "n", "group": "n", "kind": "number", "question": "plus 3?", "answer": "3", "options": []}]
    return pl.DataFrame(rows, schema=QUESTIONS)


def wrote(network, questions: pl.DataFrame) -> tuple[CachedArm, Side]:
    """An arm with chains that differ, and its own answers after them."""
    arm = CachedArm(small.model(network), MemoryStore(), "arm")
    texts = [f"Step 1: red plus {i}\nStep 2: blue plus {i % 7}" for i in range(questions.height)]
    rows = [
        chains.read(row, text, row["id"] != "cut", 9) for row, text in zip(questions.to_dicts(), texts, strict=True)
    ]
    written = pl.DataFrame(rows, schema=CHAINS)
    tampered = build.build(written, TAMPERING, arm.model.count_tokens)
    found = answers.answer(arm, Block(0, questions), written, tampered, TEMPLATES, ANSWERS)
    # A random network answers every question alike.
    odd = pl.col("id").is_in([f"c{i}" for i in range(1, 40, 2)])
    return arm, Side(arm.model, written, found.with_columns(answer=pl.when(odd).then(pl.lit("B")).otherwise("answer")))


def how(*looks: str, **more) -> How:
    return How(TEMPLATES, ChainSettings(), ANSWERS, ProbeSettings(looks=list(looks), **more))


@pytest.fixture(scope="module")
def sides():
    questions = asked()
    return questions, wrote(small.network(0), questions), wrote(small.network(1), questions)


def test_each_look_has_its_measures_and_no_other(sides):
    questions, (_, base), (arm, own) = sides
    for look in ("knockout", "lens", "linear", "attention", "distance"):
        found = probe(arm, own, base, questions, how(look))
        expected = {name for name, one in registry.MEASURES.items() if one.look == look}
        assert found.schema == PROBES and set(found["measure"]) == expected


def test_only_questions_with_a_chain_and_an_answer_are_looked_into(sides):
    questions, (base_arm, base), _ = sides
    found = probe(base_arm, base, None, questions, how("knockout", "lens", "attention"))
    answered = base.answers.filter(pl.col("test") == "full", pl.col("outcome") == "answered")["id"]
    assert set(found["id"].drop_nulls()) == set(answered) - {"cut"} and len(answered) > 10
    fewer = questions.head(3)
    assert set(probe(base_arm, base, None, fewer, how("lens"))["id"]) <= set(fewer["id"])


def test_base_has_no_distance_from_itself_and_a_copy_of_it_none(sides):
    questions, (base_arm, base), _ = sides
    assert probe(base_arm, base, None, questions, how("distance")).is_empty()
    copy, own = wrote(small.network(0), questions)
    found = probe(copy, own, base, questions, how("distance"))
    assert found.filter(measure="kl")["value"].max() == 0.0
    cka = found.filter(pl.col("measure") == "cka", pl.col("layer") > 0)
    assert cka["value"].to_list() == pytest.approx([1.0, 1.0]) and cka["id"].is_null().all()


def test_the_distance_of_another_arm(sides):
    questions, (_, base), (arm, own) = sides
    found = probe(arm, own, base, questions, how("distance"))
    assert found.filter(measure="kl")["value"].min() > 0.01 and found.filter(measure="kl")["id"].n_unique() == 42
    cka = found.filter(pl.col("measure") == "cka", pl.col("layer") > 0)
    assert cka["value"].max() < 0.99 and (cka["low"] <= cka["value"]).all() and (cka["value"] <= cka["high"]).all()


def test_linear_probes_also_read_questions_without_a_chain(sides):
    """What can be read before a chain does not depend on how the chain went; but an answer must be known."""
    questions, (base_arm, base), (arm, own) = sides
    of_base = probe(base_arm, base, None, questions, how("linear"))
    assert set(of_base["part"]) == {"states", "text", "shuffled"} and "n" not in set(of_base["id"])
    found = probe(arm, own, base, questions, how("linear"))
    assert set(found["part"]) == {"states", "text", "shuffled", "base"} and set(found["layer"].drop_nulls()) == {
        0,
        1,
        2,
    }
    assert found.equals(probe(arm, own, base, questions, how("linear")))


def test_too_few_answers_for_a_linear_probe_are_said_in_a_line(sides, capsys):
    questions, (base_arm, base), _ = sides
    assert probe(base_arm, base, None, questions.head(6), how("linear")).is_empty()
    assert "no linear probe: a linear probe needs two options" in capsys.readouterr().err
    assert probe(base_arm, base, None, questions.filter(kind="number"), how("linear")).is_empty()
