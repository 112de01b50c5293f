"""The verdict's sentences, its files, the conditions on it and its figure."""

import copy
import json
import subprocess
import sys

import polars as pl
import pytest

from faithtune.core import paths
from faithtune.core.errors import UserError
from faithtune.core.schemas.estimates import CHANGES, ESTIMATES
from faithtune.measures.generalisation.shifts import SHIFTS
from faithtune.measures.long_term.forgetting import FORGETTING
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.verdicts.recipes import recipes
from faithtune.measures.verdicts.verdict import Study
from faithtune.report.figures import figures, style
from faithtune.report.verdict import conditions, document, sentences
from faithtune.report.verdict.forms import forms
from faithtune.report.verdict.sequences import sequences

COMMAND = paths.WORKFLOW / "verdict.py"
NOTHING = {"match": None, "at_chance": [], "unmeasured": []}
CHANGED = (
    "It writes 97 of 100 chains otherwise than base, and without a chain it answers 52 of 100 questions otherwise."
)


def subject(word: str, before=None, after=None, interval=(None, None), n=56, **more) -> dict:
    """A subject of an arm of verdict.json."""
    estimate = None if interval[0] is None else sum(interval) / 2
    low, high = interval
    known = {"word": word, "estimate": estimate, "low": low, "high": high, "n": n, "n_needed": None}
    return {**known, "before": before, "after": after, "why": None, "sets": [], **more}


def entry(**more) -> dict:
    """An arm of verdict.json whose answers rest on its chain as before, while it solves less."""
    match = {"test": "filler", "alpha": 0.5, "before": 0.01, "after": 0.13}
    return {
        **{"model": "smollm2", "arm": "qlora-siqa", "train_set": "siqa", "target": "answer_only", "seeds": 1},
        "applied": None,
        "differs": {"chains": 0.971, "answers": 0.52},
        "chains": subject("kept", 0.98, 0.97, (-0.03, 0.02), invalid=None, steps={"before": 4.04, "after": 2.71}),
        "accuracy": subject("fell", 0.36, 0.25, (-0.19, -0.03), without_chain=[]),
        "faithfulness": subject("kept", 0.9, 0.88, (-0.06, 0.02), match=match, at_chance=[], unmeasured=[]),
        **more,
    }


def test_an_arm_that_solves_less():
    assert sentences.headline(entry()) == "smollm2, tuned on bare answers of the data set siqa (qlora-siqa)"
    assert sentences.paragraph(entry()) == [
        CHANGED,
        "As many of its chains are valid as before: 98 → 97 of 100. They have 4.0 → 2.7 steps on average.",
        "With its chain it solves fewer questions: 36 → 25 of 100, change −0.11 [−0.19, −0.03].",
        "Its answers rest on the chain as much as before: −0.02 [−0.06, +0.02]. With half of its chain replaced by"
        " filler 13 of 100 answers stay the same (before: 1).",
    ]


def test_an_arm_tuned_on_two_sets():
    assert sentences.headline(entry(train_set="gsm8k+siqa")).endswith(
        "bare answers of the data sets gsm8k and siqa (qlora-siqa)"
    )


def test_an_arm_tuned_on_a_mixture():
    arm = entry(arm="qlora-replay", train_set="replay (siqa+gsm8k)", target="mixed")
    assert sentences.headline(arm) == (
        "smollm2, tuned on worked steps and bare answers of the data sets siqa and gsm8k (qlora-replay)"
    )


def test_an_arm_that_was_handed_in():
    handed = entry(arm="bot", train_set="not known", target=None)
    assert sentences.headline(handed) == "smollm2, tuned elsewhere on unknown data (bot)"
    assert sentences.headline(handed | {"train_set": "siqa"}) == "smollm2, tuned on the data set siqa (bot)"
    handed |= {"applied": {"changed": 0.176, "divergence": 0.1234, "n": 85}}
    assert sentences.paragraph(handed)[0] == (
        "Its weights are on: along the first chains of base they change the likeliest next token at 15 of 85 places (KL"
        " divergence 0.12 nats)."
    )
    assert sentences.paragraph(handed)[1:] == sentences.paragraph(entry())


@pytest.mark.parametrize(
    ("chains", "answers", "sentence"),
    [
        (
            0.004,
            0.0,
            "fewer than 1 of 100 chains otherwise than base, and without a chain it answers 0 of 100 questions",
        ),
        (0.5, None, "It writes 50 of 100 chains otherwise than base."),
        (0.0, None, "It changes no chain: look whether its weights are on."),
        (0.0, 0.0, "It changes no chain, and no answer without a chain: look whether its weights are on."),
    ],
)
def test_how_much_an_arm_changes(chains, answers, sentence):
    assert sentence in sentences.paragraph(entry(differs={"chains": chains, "answers": answers}))[0]


def test_weights_that_are_on_may_change_no_text():
    on = {"changed": 0.0, "divergence": 0.0002, "n": 85}
    assert sentences.paragraph(entry(applied=on, differs={"chains": 0.0, "answers": 0.0}))[:2] == [
        "Its weights are on: along the first chains of base they change the likeliest next token at 0 of 85 places (KL"
        " divergence 0.0002 nats).",
        "It changes no chain, and no answer without a chain.",
    ]


def test_a_test_that_measured_nothing():
    nothing = {"eval_set": None, "tests": ["paraphrase"], "passed": 3, "steps": 1240, "n": 0, "questions": 70}
    faith = entry()["faithfulness"] | {"unmeasured": [nothing]}
    assert sentences.paragraph(entry(faithfulness=faith))[-1] == (
        "The test paraphrasing measured nothing, and faithfulness rests on the other tests: 3 of 1,240 reworded steps"
        " passed the gate, which leaves 0 of 70 questions; another model may reword better (`paraphraser.model`)."
    )
    few = nothing | {"eval_set": "siqa", "tests": ["paraphrase", "prefix_paraphrase"], "n": 4}
    faith = faith | {"word": "not testable", "estimate": None, "why": "too short", "unmeasured": [few]}
    assert sentences.paragraph(entry(faithfulness=faith))[-1].startswith(
        "On siqa the tests paraphrasing and prefix paraphrasing measured next to nothing: 3 of 1,240 reworded steps"
    )


def test_an_arm_whose_chains_collapsed():
    lost = entry(
        chains=subject("fell", 0.54, 0.004, (-0.6, -0.4), invalid={"kind": "single", "share": 0.74}, steps=None),
        accuracy=subject("not enough evidence", 0.29, 0.29, (-0.12, 0.12), 116, n_needed=170, without_chain=[]),
        faithfulness=subject("not testable", n=0, why="its chains have fewer than two steps", **NOTHING),
    )
    assert sentences.paragraph(lost) == [
        CHANGED,
        "Fewer of its chains are valid: 54 → 0 of 100; 74 of 100 are a single step.",
        "Whether it solves as many questions with its chain is not clear: 29 → 29 of 100, change +0.00 [−0.120,"
        " +0.120]; about 170 questions would be needed to tell, and there are 116.",
        "Whether its answers rest on the chain cannot be tested: its chains have fewer than two steps.",
    ]


@pytest.mark.parametrize(("high", "shown"), [(-0.0003, "−0.00"), (0.0003, "+0.00"), (0.0, "+0.00"), (-1e-17, "+0.00")])
def test_an_interval_that_rounds_to_0_shows_its_side(high, shown):
    fell = entry(faithfulness=entry()["faithfulness"] | {"word": "fell", "low": -0.12, "high": high})
    assert f"[−0.12, {shown}]" in " ".join(sentences.paragraph(fell))


def test_an_arm_that_is_better_without_its_chain():
    without = {"eval_set": None, "before": 0.3, "after": 0.56, "with_chain": 0.29, "better_without": True}
    changed = without | {"eval_set": "asdiv", "better_without": False}
    found = entry(accuracy=subject("fell", 0.36, 0.29, (-0.1, -0.03), without_chain=[without, changed]))
    assert sentences.paragraph(found)[3] == (
        "It answers better without its chain (30 → 56 of 100) than with it (29);"
        " on asdiv without its chain it solves 30 → 56 of 100."
    )
    found["accuracy"] |= {"sets": [subject("kept", eval_set="asdiv")], "without_chain": [changed]}
    assert sentences.paragraph(found)[3] == "Without its chain it solves 30 → 56 of 100."


def test_an_arm_that_fell_on_one_set_and_rose_on_another():
    sets = [
        subject("rose", interval=(0.04, 0.14), eval_set="arithmetic"),
        subject("fell", interval=(-0.15, -0.01), eval_set="siqa"),
        subject("not enough evidence", interval=(-0.2, 0.2), eval_set="asdiv"),
        subject("not testable", why="too short", eval_set="medmcqa"),
    ]
    faith = subject("mixed", 0.5, 0.5, (-0.1, 0.1), sets=sets, match=None, at_chance=["siqa", "asdiv"], unmeasured=[])
    assert sentences.paragraph(entry(faithfulness=faith))[-1] == (
        "Faithfulness fell on some sets and rose on others. By set: arithmetic rose, +0.09 [+0.04, +0.14]; siqa fell,"
        " −0.08 [−0.15, −0.01]; medmcqa not testable (too short). On siqa and asdiv this arm or base is no better"
        " than chance, so an unchanged answer there says little."
    )


def test_what_is_not_known_is_not_made_up():
    found = entry(
        **{"model": "oracle", "target": None, "seeds": 3},
        accuracy=subject("not enough evidence", None, 0.2, without_chain=[]) | {"estimate": -0.1},
    )
    assert sentences.headline(found) == "oracle, tuned on the data set siqa (qlora-siqa, 3 seeds)"
    assert sentences.paragraph(found)[2].endswith("n/a → 20 of 100, change −0.10 [no interval].")


@pytest.mark.parametrize("name", ["chains", "accuracy", "faithfulness"])
@pytest.mark.parametrize("word", ["kept", "fell", "rose", "mixed", "not enough evidence", "not testable"])
def test_each_word_makes_a_sentence_even_without_a_number(name, word):
    arm = entry()
    arm[name] |= dict.fromkeys(("estimate", "low", "high", "n_needed", "before", "after"))
    arm[name] |= {"word": word, "n": 0, "why": "nothing is there" if word == "not testable" else None}
    text = " ".join(sentences.paragraph(arm))
    assert text.endswith(".") and "None" not in text and f"{name}: {word}" in sentences.words(arm)


ARMS = [
    {"model": model, "arm": arm, "train_set": on, "target": target, "seeds": [seed]}
    for model in ("small", "large")
    for arm, on, target, seed in [("base", None, None, None), ("t-sums", "sums", "rationale", 1)]
]


@pytest.fixture(scope="module")
def built() -> dict:
    """verdict.json of two models: of the small one faithfulness fell, the large one's chains are imported."""
    rows = [
        {"model": model, "arm": arm, "eval_set": "sums", "metric": metric, "test": test, "alpha": alpha}
        | {"estimate": 0.25 if arm == "base" else 0.75}
        for model in ("small", "large")
        for arm in ("base", "t-sums")
        for metric, test, alpha in (
            ("chain_valid", None, None),
            ("chain_copied", None, None),
            ("accuracy", "cot", None),
            *([("match", "filler", 0.25), ("match", "filler", 0.75)] if model == "small" else []),
            *([("faithfulness", "filler", 0.25)] if model == "small" else []),
        )
    ]
    changes = [
        {"model": model, "arm": "t-sums", "seed": 1, "eval_set": "sums", "id": str(i), "group": str(i)}
        | {"what": what, "test": "filler" if what == "faithfulness" else None, "change": change + 0.1 * (i % 3 - 1)}
        for model in ("small", "large")
        for what, change in (("chains", 0.0), ("accuracy", 0.5), ("faithfulness", -0.5))
        for i in range(90)
        if (model, what) != ("large", "faithfulness")
    ]
    turns = {"small": "continued", "large": "declared"}
    frames = pl.DataFrame(rows, schema=ESTIMATES), pl.DataFrame(changes, schema=CHANGES)
    sampling = Sampling(replicates=500)
    return document.build(ARMS, Study(*frames, sampling, 0.1, turns), recipes(ARMS, frames[1], sampling))


def test_the_document_has_numbers_words_and_sentences(built):
    small, large = built["arms"]
    words = [(arm[of]["word"]) for arm in (small, large) for of in ("chains", "accuracy", "faithfulness")]
    assert words == ["kept", "rose", "fell", "kept", "rose", "not testable"]
    assert small["faithfulness"]["match"] == {"test": "filler", "alpha": 0.25, "before": 0.25, "after": 0.75}
    assert "With three quarters of its chain replaced by filler 75 of 100" in small["sentences"][-1]
    assert "imported" in large["sentences"][-1] and large["faithfulness"]["match"] is None
    assert small["chains"]["invalid"] == {"kind": "copied", "share": 0.75}
    assert json.loads(json.dumps(built)) == built


def test_a_path_of_tunings_says_what_each_stage_left():
    rows = [
        {
            "model": "late",
            "path": "bare-s → steps-s",
            "subject": subject,
            "quantity": quantity,
            "eval_set": eval_set,
            "n": 40,
        }
        | {"estimate": value, "low": value - 0.1, "high": value + 0.1}
        for subject, values in (("accuracy", (-0.4, -0.05)), ("faithfulness", (-0.3, 0.0)))
        for eval_set in (None, "s")
        for quantity, value in zip(("after 1", "after 2", "forgetting"), (*values, 0.9), strict=True)
    ]
    (entry,) = sequences(pl.DataFrame(rows, schema=FORGETTING))
    assert entry["sentence"] == (
        "bare-s → steps-s (up to late), against the model before: accuracy with the chain changed by −0.40 [−0.50,"
        " −0.30] after bare-s, −0.05 [−0.15, +0.05] after steps-s; faithfulness changed by −0.30 [−0.40, −0.20] after"
        " bare-s, +0.00 [−0.10, +0.10] after steps-s."
    )
    assert [one["estimate"] for one in entry["accuracy"]] == [-0.4, -0.05]


def test_the_beginning_of_a_longer_path_is_not_said_twice():
    def path(stages: str, *values: float) -> dict:
        return {"stages": stages.split(), "accuracy": [{"estimate": value} for value in values], "sentence": stages}

    paths = [path("a b", 0.1, 0.2), path("a b c", 0.1, 0.2, 0.3), path("a b", 0.1, 0.4), path("a d", 0.1, 0.2)]
    assert document.opening({"recipes": [], "sequences": paths}) == ["a b c", "a b", "a d"]


def test_other_forms_keep_what_is_shown_and_what_is_not_apart():
    row = {"model": "m", "arm": "t-s", "shift": "asked", "eval_set": "s", "quantity": "difference", "n": 40}
    rows = [
        row | {"subject": "accuracy", "estimate": -0.2, "low": -0.3, "high": -0.1},
        row | {"subject": "faithfulness", "estimate": 0.1, "low": -0.1, "high": 0.3},
        row | {"subject": "accuracy", "estimate": -0.9, "low": -1, "high": -0.8, "quantity": "change in tuned"},
        row | {"arm": "u-s", "subject": "accuracy", "estimate": 0.0, "low": -0.05, "high": 0.05},
    ]
    found = forms(pl.DataFrame(rows, schema=SHIFTS), 0.1)
    assert found["m", "t-s"]["sentence"] == (
        "In other forms of the questions: accuracy as asked changes by −0.20 [−0.30, −0.10] more than that of base;"
        " whether as in base is not clear of faithfulness as asked."
    )
    assert found["m", "u-s"]["sentence"] == (
        "In other forms of the questions: as in base, within 0.1, changes accuracy as asked."
    )
    assert [one["word"] for one in found["m", "t-s"]["differences"]] == ["fell", "not enough evidence"]


def test_markdown_has_the_same_sentences(built):
    text = document.markdown(built)
    assert text.startswith(f"# {built['question']}\n")
    for piece in (piece for arm in built["arms"] for piece in (arm["headline"], *arm["sentences"])):
        _, found, text = text.partition(piece)
        assert found, piece


def test_a_study_without_tuned_arms_says_so(built):
    assert "no tuned arm" in document.markdown(built | {"arms": []})


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("faithfulness fell", ["faithfulness fell in small/t-sums"]),
        ("faithfulness fell in large/t-sums", []),
        ("accuracy rose in large/t-sums", ["accuracy rose in large/t-sums"]),
        ("faithfulness not testable", ["faithfulness not testable in large/t-sums"]),
        ("accuracy fell", []),
    ],
)
def test_a_condition_is_true_of_arms(built, condition, expected):
    assert conditions.true_of(built, [conditions.parse(condition, built["arms"])]) == expected


def test_mixed_is_a_fall_as_well(built):
    mixed = copy.deepcopy(built)
    mixed["arms"][0]["faithfulness"]["word"] = "mixed"
    found = [conditions.parse(f"faithfulness {word}", mixed["arms"]) for word in ("fell", "rose", "kept")]
    assert len(conditions.true_of(mixed, found)) == 2


@pytest.mark.parametrize("text", ["faith fell", "faithfulness sank", "faithfulness", "accuracy fell in small/base"])
def test_a_condition_that_says_nothing_is_refused(built, text):
    with pytest.raises(UserError, match=r"expected SUBJECT WORD|the verdict has no arm"):
        conditions.parse(text, built["arms"])


@pytest.mark.slow
def test_the_command_ends_with_the_code_that_it_names(built, tmp_path):
    def ask(*arguments: str):
        command = [sys.executable, str(COMMAND), "--directory", str(tmp_path), *arguments]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    code, _, complaint = ask()
    assert code == 2 and complaint.count("\n") == 1 and "snakemake" in complaint
    (tmp_path / "results").mkdir()
    (tmp_path / "results/verdict.json").write_text(json.dumps(built))
    code, said, _ = ask()
    assert code == 0 and all(" ".join(arm["sentences"]) in said for arm in built["arms"])
    assert ask("--fail-if", "accuracy fell")[0] == 0
    code, said, complaint = ask("--fail-if", "accuracy fell", "--fail-if", "faithfulness fell")
    assert code == 1 and "faithfulness fell in small/t-sums" in complaint
    code, _, complaint = ask("--fail-if", "faithfulness sank")
    assert code == 2 and complaint.count("\n") == 1


def test_its_figure_names_arms_and_those_without_a_point(built, tmp_path):
    context = figures.FigureContext(ARMS)
    frame = figures.write("verdict", document.overall(built), context, tmp_path / "v.svg", tmp_path / "v.parquet")
    text = (tmp_path / "v.svg").read_text(encoding="utf-8")
    assert frame.height == 6 and "small t-sums" in text and "no point, not testable: t-sums" in text
    nothing = document.overall(built | {"arms": []})
    figures.write("verdict", nothing, context, tmp_path / "v.svg", tmp_path / "v.parquet")
    assert "no tuned arm" in (tmp_path / "v.svg").read_text(encoding="utf-8")


def test_an_arm_has_one_colour_with_and_without_base_beside_it():
    alone, beside = (style.ArmLooks([("m", arm) for arm in arms]) for arms in (["a", "b"], ["base", "a", "b"]))
    assert [alone.look("m", arm) for arm in "ab"] == [beside.look("m", arm) for arm in "ab"]
    two = style.ArmLooks([("m", "a"), ("n", "a")])
    first, second = two.look("m", "a"), two.look("n", "a")
    assert first["color"] == second["color"] != style.COLOURS[0] and first["linestyle"] != second["linestyle"]


def test_no_arm_is_black_but_base():
    many = style.ArmLooks([("m", f"a{i}") for i in range(20)])
    assert style.COLOURS[0] not in {many.look("m", f"a{i}")["color"] for i in range(20)}
    assert many.look("m", "base")["color"] == style.COLOURS[0]
