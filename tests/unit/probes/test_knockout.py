"""Knock-outs tell what answers rest on, where that is known; and they equal masks in plain transformers."""

import random

import pytest
import torch

import known
import small
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import MemoryStore
from faithtune.models.tree import SIGHTED, Blind
from faithtune.probes import knockout, parts
from faithtune.probes.reasoned import Reasoned
from faithtune.settings.answers import AnswerSettings
from masks import masked

SETTINGS = AnswerSettings(max_new_tokens=4, min_option_mass=0)
HIDDEN = ("chain", "question", "random_chain", "random_question")


def arm(network) -> CachedArm:
    return CachedArm(small.model(network), MemoryStore(), "arm")


def number(asked: int, chain: list[str], reference: str, name: str = "q") -> Reasoned:
    about = {"id": name, "kind": "number", "context": None, "options": [], "question": known.question(asked)}
    return Reasoned(about | {"answer": reference}, chain, reference, f" {reference}")


def choice(chain: list[str], reference: str) -> Reasoned:
    about = {"id": "c", "kind": "choice", "context": None, "question": "red?", "options": ["red", "blue", "plus 3"]}
    return Reasoned(about | {"answer": "A"}, chain, reference, None)


LONG = "red plus blue plus " * 6  # so that there are as many tokens elsewhere
TEMPLATES = {"cot_number": LONG + "{question}", "cot_choice": LONG + "{question}"}
CHAIN = ["red plus 3", "blue plus 4", "plus 7"]


def by_hand(net, one: Reasoned, text: str, blind: Blind = SIGHTED, start: int = 0) -> torch.Tensor:
    """Probabilities of the letters after a text, or of the own number, not followed by a further digit."""
    tokens = small.tokenizer()
    ids, own = (tokens(part, add_special_tokens=False)["input_ids"] for part in (text, f" {one.reference}"))
    if one.question["kind"] == "choice":
        letters = [tokens(f" {letter}", add_special_tokens=False)["input_ids"][-1] for letter in "ABC"]
        return masked(net, ids, start or len(ids), blind)[-1, letters].softmax(-1)
    written = tokens.batch_decode([[i] for i in range(len(tokens))])
    digits = [i for i, token in enumerate(written) if token[:1].isdigit()]
    p = masked(net, ids + own, start or len(ids), blind)[len(ids) - 1 :].softmax(-1)
    return (p[range(len(own)), own].prod() * (1 - p[-1, digits].sum()))[None]


@pytest.mark.parametrize("one", [number(5, CHAIN, "7"), choice(CHAIN, "B")], ids=["number", "choice"])
def test_rows_equal_masks_in_plain_transformers(one):
    net, model = small.network(3, num_hidden_layers=3), small.model()
    windows = knockout.windows_of(3, 2)
    rows = list(knockout.knock_out(arm(net), [one], TEMPLATES, SETTINGS, windows))
    measured = {(row["measure"], row["part"], row["k"], row["layer"]): row["value"] for row in rows}
    assert len(measured) == len(rows) == (3 * 6 + 4) * (2 if one.question["kind"] == "number" else 3)
    at = "ABC".index(one.reference) if one.question["kind"] == "choice" else 0
    for k in (1, 2, 3):
        here = parts.divide(model, TEMPLATES, one.question, CHAIN[:k])
        hidden = knockout.hidden_parts(one.question["id"], here)
        plain = by_hand(net, one, here.prompt)
        bare = parts.divide(model, TEMPLATES, one.question, [])
        cases = [
            ("knockout", part, None, by_hand(net, one, here.prompt, Blind(frozenset(hidden[part])), here.start))
            for part in HIDDEN
        ]
        cases.append(("removal", "chain", None, by_hand(net, one, bare.prompt)))
        cases.append(("removal", "question", None, by_hand(net, one, here.without("question"))))
        for first, end in windows if k == 3 else []:
            for part in ("chain", "question"):
                blind = Blind(frozenset(hidden[part]), range(first, end))
                cases.append(("knockout", part, first, by_hand(net, one, here.prompt, blind, here.start)))
        for kind, part, layer, there in cases:
            change = (there[at].clamp(min=1e-10).log() - plain[at].clamp(min=1e-10).log()).item()
            assert measured[f"{kind}_log_p", part, k, layer] == pytest.approx(change, abs=1e-3)
            if one.question["kind"] == "choice":
                mean = (plain + there) / 2
                divergence = sum((p * (p / mean).log()).sum().item() / 2 for p in (plain, there))
                assert measured[f"{kind}_js", part, k, layer] == pytest.approx(divergence, abs=1e-4)
                assert measured[f"{kind}_changed", part, k, layer] == float(plain.argmax() != there.argmax())


def test_controls_are_as_large_and_drawn_alike():
    model, one = small.model(), number(5, CHAIN, "7")
    here = parts.divide(model, TEMPLATES, one.question, CHAIN)
    first, again = (knockout.hidden_parts(name, here) for name in ("q", "q"))
    assert first == again != knockout.hidden_parts("other", here)
    for part, elsewhere in (("chain", here.question + here.user), ("question", here.user)):
        drawn = first[f"random_{part}"]
        assert len(drawn) == len(set(drawn)) == min(len(first[part]), len(elsewhere)) > 0
        assert set(drawn) <= set(elsewhere)


def test_a_part_with_too_little_elsewhere_has_no_control():
    model, one, long = small.model(), number(5, CHAIN, "7"), ["red plus 3 plus 4 plus 5"] * 8
    assert set(knockout.hidden_parts("q", parts.divide(model, TEMPLATES, one.question, long))) == {
        *("chain", "question", "random_question")
    }
    bare = {"cot_number": "{question}"}
    assert "random_question" not in knockout.hidden_parts("q", parts.divide(model, bare, one.question, CHAIN))


@pytest.mark.parametrize(
    ("n_layers", "n", "expected"), [(30, 1, []), (3, 2, [(0, 2), (2, 3)]), (2, 9, [(0, 1), (1, 2)])]
)
def test_windows(n_layers, n, expected):
    assert knockout.windows_of(n_layers, n) == expected


def test_js():
    assert knockout.js([0.5, 0.5], [0.5, 0.5]) == 0.0
    assert knockout.js([1.0, 0.0], [0.0, 1.0]) == pytest.approx(0.6931471805599453)
    # Of (1, 0) and (1/2, 1/2): (ln(4/3) + ln(2/3)/2 + ln(2)/2) / 2.
    assert knockout.js([1.0, 0.0], [0.5, 0.5]) == pytest.approx(0.2157615543388357)


def found(rule: str, n: int = 40) -> dict[tuple[str, str], float]:
    """Mean of each measure at the whole chain, over questions whose chain and question hold different digits."""
    net, rng, asked = known.network(), random.Random(5), []
    for i in range(n):
        digit = rng.randrange(10)
        said = (digit + rng.randrange(1, 10)) % 10
        reference = str(digit if rule == "blue" else said)
        asked.append(number(digit, known.steps(rng, said), reference, f"q{i}"))
    rows = list(knockout.knock_out(arm(net), asked, known.TEMPLATES[rule], SETTINGS))
    last = {one.question["id"]: len(one.steps) for one in asked}
    whole: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        if row["k"] == last[row["id"]] and row["value"] is not None:
            whole.setdefault((row["measure"], row["part"]), []).append(row["value"])
    return {key: sum(values) / len(values) for key, values in whole.items()}


@pytest.mark.slow
def test_an_answer_from_the_chain_needs_the_chain():
    of = found("red")
    assert of["knockout_changed", "chain"] > 0.75 and of["knockout_changed", "question"] < 0.15
    assert of["knockout_changed", "chain"] > of["knockout_changed", "random_chain"] + 0.1
    assert of["knockout_log_p", "chain"] < -2 and abs(of["knockout_log_p", "question"]) < 0.3
    assert of["removal_changed", "chain"] > 0.75 and of["removal_changed", "question"] < 0.25


@pytest.mark.slow
def test_an_answer_from_the_question_needs_the_question():
    of = found("blue")
    assert of["knockout_changed", "chain"] < 0.15 and of["knockout_changed", "question"] > 0.75
    assert of["knockout_log_p", "question"] < -1.5 and abs(of["knockout_log_p", "chain"]) < 0.3


@pytest.mark.slow
def test_an_answer_from_both_needs_each_by_its_weight():
    """The chain's digit has 3 times in 4: without the question more, without the chain hardly anything."""
    chain, of, question = found("red"), found("mixed"), found("blue")
    assert question["knockout_log_p", "chain"] > of["knockout_log_p", "chain"] + 1
    assert chain["knockout_log_p", "chain"] < -2 and of["knockout_log_p", "chain"] < -1.5
    assert -0.3 < of["knockout_log_p", "question"] < 0.5
