"""What probes come to: means, kept fractions, controls, pairs and seeds, worked out by hand."""

import math

import polars as pl
import pytest

from faithtune.core.errors import UserError
from faithtune.core.schemas.probes import INSIDE
from faithtune.measures.inside import estimates
from faithtune.measures.inside.estimates import Probes
from faithtune.measures.stats.bootstrap import Sampling
from frames import answer_rows, answers
from probed import ARM, found_in, hidden, probes_of, questions_of, row_of

SAMPLING = Sampling(replicates=500)
T_95 = 12.706204736432095  # Student's t of 0.975 with one degree of freedom


def built(probes: Probes, weights=None, alphas=(0.5,), sampling=SAMPLING) -> pl.DataFrame:
    frame = estimates.build(probes, weights or {}, alphas, sampling)
    assert frame.schema == INSIDE
    keys = [name for name in INSIDE if name in ("model", "arm", "eval_set", "what", *estimates.KEYS)]
    assert frame.select(keys).is_duplicated().sum() == 0
    return frame


def found(frame: pl.DataFrame, **where) -> dict:
    """The one row with these values; of the whole arm alone unless `layer` and so on are given."""
    where = {"arm": "base", "what": "value", **dict.fromkeys(("layer", "last_layer", "head", "scale")), **where}
    rows = frame.filter(pl.col(name).eq_missing(value) for name, value in where.items())
    assert rows.height == 1, rows
    return rows.row(0, named=True)


def test_a_mean_at_the_whole_chain_and_at_alpha():
    # Of chains of 1, 2 and 4 steps: α = 0.5 keeps 1 of 2 and 2 of 4; a chain of one step has nothing to cut.
    rows = [
        *hidden("a", [1.0]),
        *hidden("b", [0.0, 1.0]),
        *hidden("c", [1.0, 1.0, 0.0, 0.0]),
    ]
    frame = built(probes_of({"base": rows}))
    whole = found(frame, measure="knockout_changed", part="chain", alpha=1.0)
    assert whole["estimate"] == pytest.approx(2 / 3) and whole["n"] == 3
    assert 0 < whole["low"] < 2 / 3 < whole["high"] < 1 and whole["p"] is None
    half = found(frame, measure="knockout_changed", part="chain", alpha=0.5)
    assert half["estimate"] == pytest.approx((0 + 1) / 2) and half["n"] == 2


def test_alphas_are_read_by_their_digits_and_never_of_nothing():
    rows = hidden("a", [float(k) for k in range(1, 11)], measure="knockout_log_p")
    frame = built(probes_of({"base": rows}), alphas=[0.0, 0.1, 0.31, 1.0])
    at = {
        alpha: found(frame, measure="knockout_log_p", part="chain", alpha=alpha)["estimate"] for alpha in (0.1, 0.31, 1)
    }
    assert at == {0.1: 1.0, 0.31: 4.0, 1: 10.0}  # the value at k is k
    assert 0.0 not in frame["alpha"].to_list()  # after no step no part of a chain is hidden


def test_windows_of_layers_are_read_after_the_whole_chain():
    window = {"layer": 2, "last_layer": 3}
    rows = [*hidden("a", [0.0, 0.0]), row_of("a", "knockout_changed", 1.0, part="chain", k=2, **window)]
    frame = built(probes_of({"base": rows}))
    assert found(frame, measure="knockout_changed", alpha=1.0, **window)["estimate"] == 1.0
    assert frame.filter(pl.col("layer").is_not_null()).height == 1
    assert found(frame, measure="knockout_changed", alpha=1.0)["estimate"] == 0.0


def test_missing_answers_are_counted_and_no_values():
    rows = [
        *hidden("a", [1.0]),
        row_of("b", "knockout_changed", None, part="chain", k=1, outcome="unanswered"),
        row_of("c", "knockout_changed", None, part="chain", k=1, outcome="truncated"),
        row_of("d", "knockout_changed", None, part="chain", k=1, outcome="truncated"),
    ]
    tuned = [*hidden("a", [0.0]), *hidden("b", [1.0]), *hidden("c", [1.0]), *hidden("d", [1.0])]
    tuned[-1] |= {"outcome": "unanswered", "value": None}
    frame = built(probes_of({"base": rows, ARM: tuned}))
    where = {"measure": "knockout_changed", "part": "chain", "alpha": 1.0}
    counts = [found(frame, **where)[name] for name in ("estimate", "n", "n_unanswered", "n_truncated")]
    assert counts == [1.0, 1, 1, 2]
    change = found(frame, arm="t-set", what="change", **where)
    # a alone has both; b lacks base's answer, d was cut in base and is unanswered in the tuned arm.
    counts = [change[name] for name in ("estimate", "n", "n_unanswered", "n_truncated")]
    assert counts == [-1.0, 1, 2, 2]


def test_divergences_have_no_outcome_to_count():
    frame = built(probes_of({"base": hidden("a", [0.2], measure="knockout_js")}))
    row = found(frame, measure="knockout_js", alpha=1.0)
    assert (row["n_unanswered"], row["n_truncated"]) == (None, None)


def test_beyond_the_control_is_paired_by_question():
    rows = [
        *hidden("a", [-3.0], measure="knockout_log_p"),
        *hidden("a", [-1.0], measure="knockout_log_p", part="random_chain"),
        *hidden("b", [-5.0], measure="knockout_log_p"),
        *hidden("b", [-4.0], measure="knockout_log_p", part="random_chain"),
        *hidden("c", [-9.0], measure="knockout_log_p"),  # without its control it is in no pair
        *hidden("a", [-1.0], measure="knockout_log_p", part="question"),
        *hidden("a", [-7.0], measure="knockout_log_p", part="random_question"),
    ]
    tuned = [row | {"value": row["value"] * 2} for row in rows if row["id"] != "b"]
    frame = built(probes_of({"base": rows, ARM: tuned}))
    where = {"measure": "knockout_log_p", "alpha": 1.0}
    row = found(frame, part="chain_beyond_control", **where)
    assert (row["estimate"], row["n"]) == (-1.5, 2)  # (-2 - 1) / 2
    assert found(frame, part="question_beyond_control", **where)["estimate"] == 6.0
    change = found(frame, arm="t-set", what="change", part="chain_beyond_control", **where)
    assert (change["estimate"], change["n"]) == (-2.0, 1)  # a: -4 minus -2


def test_changes_are_of_the_same_questions():
    base = [row for name, value in zip("abcd", [-1.0, -2.0, -3.0, -9.0], strict=True) for row in log_p(name, value)]
    tuned = [row for name, value in zip("abce", [-2.0, -4.0, -9.0, -90.0], strict=True) for row in log_p(name, value)]
    frame = built(probes_of({"base": base, ARM: tuned}))
    where = {"measure": "knockout_log_p", "part": "chain", "alpha": 1.0}
    change = found(frame, arm="t-set", what="change", **where)
    assert change["estimate"] == -3.0 and change["n"] == 3  # (-1 - 2 - 6) / 3
    assert change["low"] < -3 < change["high"] and 0 < change["p"] < 1
    assert (change["p"] < 0.05) == (change["high"] < 0)
    own = found(frame, arm="t-set", **where)
    assert own["estimate"] == -105 / 4 and own["train_set"] == "set"


def log_p(name: str, value: float) -> list[dict]:
    return hidden(name, [value], measure="knockout_log_p")


def test_intervals_stay_within_what_is_possible():
    rows = [row for i in range(30) for row in hidden(f"q{i}", [1.0])]
    js = [row_of(f"q{i}", "knockout_js", 0.69 - 0.02 * (i % 3), part="chain", k=1) for i in range(30)]
    attention = [row_of(f"q{i}", "attention", 0.0001 * (i % 2), part="question", layer=0) for i in range(30)]
    frame = built(probes_of({"base": [*rows, *js, *attention]}))
    assert frame.filter(measure="knockout_changed")["high"].max() == 1.0
    assert frame.filter(measure="knockout_js")["high"].max() <= math.log(2)
    row = found(frame, measure="attention", part="question", layer=0)
    assert 0 <= row["low"] < row["high"] < 0.0002  # a bound of 1 far away does not widen it


def test_questions_of_a_group_are_resampled_together():
    rows = [row for i in range(40) for row in hidden(f"q{i:02}", [float(i < 20)])]
    alone = found(built(probes_of({"base": rows})), measure="knockout_changed", alpha=1.0)
    groups = {f"q{i:02}": "few" if i < 20 else f"g{i % 4}" for i in range(40)}
    together = found(built(probes_of({"base": rows}, groups)), measure="knockout_changed", alpha=1.0)
    assert alone["estimate"] == together["estimate"] == 0.5
    assert together["high"] - together["low"] > 1.5 * (alone["high"] - alone["low"])


def test_seeds_are_pooled_under_the_label():
    base = [row for name in "abcd" for row in log_p(name, -1.0)]
    seeds = {
        f"t-set-{seed}": [row for i, name in enumerate("abcd") for row in log_p(name, -1.0 - seed - i)]
        for seed in (1, 2)
    }
    frame = built(probes_of({"base": base, **seeds}))
    where = {"measure": "knockout_log_p", "part": "chain", "alpha": 1.0}
    change = found(frame, arm="t-set", what="change", **where)
    # Seed s changes questions by -s, -s-1, -s-2, -s-3.
    assert (change["estimate"], change["n"], change["seeds"]) == (-3.0, 8, 2)
    one = found(built(probes_of({"base": base, "t-set-1": seeds["t-set-1"]})), arm="t-set", what="change", **where)
    assert (one["estimate"], one["n"], one["seeds"]) == (-2.5, 4, 1)
    assert change["high"] - change["low"] > one["high"] - one["low"]  # two seeds that differ by one


def test_an_arm_without_base_has_values_alone():
    frame = built(probes_of({ARM: hidden("a", [1.0, 1.0])}))
    assert frame["what"].unique().to_list() == ["value"]
    assert built(probes_of({"base": hidden("a", [1.0])}))["what"].unique().to_list() == ["value"]


def test_the_lens_is_read_before_the_chain_and_at_the_cue():
    rows = [
        row_of("a", "lens_p", value, part=part, layer=layer, k=1 if part == "step" else None)
        for part, value in (("before", 0.2), ("step", 0.5), ("cue", 0.9))
        for layer in (0, 1)
    ]
    rows += [row_of("b", "lens_p", 0.4, part="before", layer=1)]
    rows += [row_of(name, "decision_layer", value, part="cue") for name, value in (("a", 3.0), ("b", 6.0), ("c", None))]
    frame = built(probes_of({"base": rows}))
    assert found(frame, measure="lens_p", part="before", layer=1)["estimate"] == pytest.approx(0.3)
    assert found(frame, measure="lens_p", part="cue", layer=0)["estimate"] == 0.9
    assert set(frame["part"]) == {"before", "cue"}
    decided = found(frame, measure="decision_layer", part="cue")
    assert (decided["estimate"], decided["n"]) == (4.5, 2)  # where it never decides it is not counted


def test_attention_to_the_chain_is_the_sum_over_its_steps():
    def seen(name, layer, step, question):
        steps = [row_of(name, "attention", value, part="step", k=k, layer=layer) for k, value in enumerate(step, 1)]
        return [*steps, row_of(name, "attention", question, part="question", layer=layer)]

    rows = [
        *seen("a", 0, [0.1, 0.2], 0.5),
        *seen("a", 1, [0.3, 0.4], 0.1),
        *seen("b", 0, [0.5], 0.2),
        *seen("b", 1, [0.1], 0.2),
        row_of("a", "tokens", 3.0, part="step", k=1),
        row_of("a", "tokens", 4.0, part="step", k=2),
        row_of("b", "tokens", 5.0, part="step", k=1),
        row_of(None, "attention", 0.25, part="chain", layer=1, head=2),
    ]
    frame = built(probes_of({"base": rows}))
    by_layer = [found(frame, measure="attention", part="chain", layer=layer)["estimate"] for layer in (0, 1)]
    assert by_layer == pytest.approx([(0.3 + 0.5) / 2, (0.7 + 0.1) / 2])
    assert found(frame, measure="attention", part="chain")["estimate"] == pytest.approx(0.4)  # mean over layers
    assert found(frame, measure="attention", part="question")["estimate"] == pytest.approx((0.3 + 0.2) / 2)
    assert found(frame, measure="tokens", part="chain")["estimate"] == 6.0
    head = found(frame, measure="attention", part="chain", layer=1, head=2)
    assert (head["estimate"], head["low"], head["n"]) == (0.25, None, None)
    assert "step" not in frame["part"].to_list()


def test_doses_are_of_the_tuned_arm_by_scale_and_place():
    rows = [
        row_of(name, "dose_correct", value, scale=scale, part=part)
        for name, values in (("a", (1.0, 1.0, 0.0)), ("b", (0.0, 1.0, 0.0)))
        for value, scale, part in zip(values, (0.0, 1.0, 1.0), (None, None, "mlp"), strict=True)
    ]
    frame = built(probes_of({"base": [], ARM: rows}))
    where = {"arm": "t-set", "measure": "dose_correct"}
    doses = [
        found(frame, part=part, scale=scale, **where)["estimate"]
        for scale, part in ((0.0, None), (1.0, None), (1.0, "mlp"))
    ]
    assert doses == [0.5, 1.0, 0.0]
    assert frame.filter(what="change").is_empty()  # base has no dose


def test_numbers_of_the_whole_arm_keep_their_interval():
    rows = [row_of(None, "cka", value, layer=layer, low=value - 0.1, high=1.0) for layer, value in ((1, 0.8), (2, 0.6))]
    rows += [row_of(None, "cka", float("nan"), layer=0)]  # the cue's embeddings are all the same
    frame = built(probes_of({"base": [], ARM: rows}))
    row = found(frame, arm="t-set", measure="cka", layer=1)
    assert (row["estimate"], row["low"], row["high"], row["n"]) == (0.8, pytest.approx(0.7), 1.0, None)
    over_all = found(frame, arm="t-set", measure="cka")
    assert (over_all["estimate"], over_all["low"]) == (pytest.approx(0.7), None)
    assert found(frame, arm="t-set", measure="cka", layer=0)["estimate"] is None


def test_the_interval_of_a_number_of_the_whole_arm_gets_the_configured_level():
    """In PROBES it is at 95 %, so that another level asks no model again."""
    rows = [row_of(None, "cka", 0.5, layer=1, low=0.4, high=0.7)]
    wide = built(probes_of({"base": [], ARM: rows}), sampling=Sampling(confidence=0.99, replicates=200))
    row, ratio = found(wide, arm="t-set", measure="cka", layer=1), 2.5758293 / 1.9599640
    assert (row["low"], row["high"]) == (pytest.approx(0.5 - 0.1 * ratio), pytest.approx(0.5 + 0.2 * ratio))


def test_numbers_of_the_whole_arm_are_averaged_over_seeds():
    def arm(change, cka):
        return [row_of(None, "cka", cka, layer=1, low=cka - 0.01, high=cka + 0.02)], [
            row_of(None, "weight_change", change, part="q_proj", layer=0),
            row_of(None, "weight_change", change),
            row_of(None, "effective_rank", 10 * change, part="q_proj", layer=0),
            row_of(None, "effective_rank", 30 * change, part="up_proj", layer=0),
        ]

    seeds = {f"t-set-{seed}": arm(*values) for seed, values in ((1, (0.1, 0.90)), (2, (0.3, 0.94)))}
    weights = {("tiny", name): found_in(of_weights) for name, (_, of_weights) in seeds.items()}
    probes = probes_of({"base": [], **{name: of_set for name, (of_set, _) in seeds.items()}})
    frame = built(probes, weights)
    row = found(frame, arm="t-set", measure="weight_change", part=None)
    assert row["estimate"] == pytest.approx(0.2) and row["eval_set"] is None and row["seeds"] == 2
    half = T_95 * 0.1  # t × √(s² / 2), with s² = 0.02
    assert row["high"] == pytest.approx(0.2 + half, rel=1e-6)
    assert found(frame, arm="t-set", measure="weight_change", part="q_proj", layer=0)["estimate"] == pytest.approx(0.2)
    rank = found(frame, arm="t-set", measure="effective_rank", part=None)
    assert rank["estimate"] == pytest.approx((2 + 6) / 2)  # mean over modules, then over seeds
    cka = found(frame, arm="t-set", measure="cka", layer=1)
    assert cka["estimate"] == pytest.approx(0.92)
    assert cka["low"] == pytest.approx(0.92 - math.hypot(0.01, T_95 * 0.02), rel=1e-6)


def scored(scores: dict[str, float]) -> list[dict]:
    """Rows of a linear probe with the probability of A."""
    return [
        row_of(id, "linear", value if option == "A" else 1 - value, part="states", layer=3, option=option)
        for id, value in scores.items()
        for option in "AB"
    ]


def test_linear_probes_are_scored_against_the_arms_own_answers():
    letters = dict(zip("abcdef", "AAABBB", strict=True))
    base = {"a": 0.9, "b": 0.4, "c": 0.2, "d": 0.3, "e": 0.1, "f": 0.7}  # 6 of 9 pairs in order: a 3, b 2, c 1
    seeds = {
        "t-set-1": {"a": 0.9, "b": 0.8, "c": 0.2, "d": 0.3, "e": 0.1, "f": 0.1},  # 8 of 9
        "t-set-2": {"a": 0.9, "b": 0.3, "c": 0.2, "d": 0.35, "e": 0.1, "f": 0.1},  # 7 of 9
    }
    probes = probes_of({"base": scored(base), **{name: scored(scores) for name, scores in seeds.items()}})
    given = answers(*(answer_rows(id, full=letter) for id, letter in letters.items()))
    with_answers = Probes(probes.arms, probes.found, probes.questions, dict.fromkeys(probes.found, given))
    frame = built(with_answers)
    where = {"measure": "linear_auc", "part": "states", "layer": 3}
    row = found(frame, **where)
    assert (row["estimate"], row["n"]) == (pytest.approx(6 / 9), 6)
    row = found(frame, arm="t-set", **where)
    assert (row["estimate"], row["n"], row["seeds"]) == (pytest.approx(7.5 / 9), 12, 2)
    row = found(frame, arm="t-set", what="change", **where)
    assert (row["estimate"], row["n"]) == (pytest.approx(1.5 / 9), 12)
    assert row["low"] < 0 < row["high"] and 0.05 < row["p"] <= 1
    assert set(frame["measure"]) == {"linear_auc"}


def test_modules_of_one_kind_in_one_layer_are_one_row():
    rows = [row_of(None, "weight_change", value, part="up_proj", layer=0) for value in (0.1, 0.3)]
    frame = built(probes_of({"base": [], ARM: []}), {("tiny", ARM): found_in(rows)})
    assert found(frame, arm="t-set", measure="weight_change", layer=0)["estimate"] == pytest.approx(0.2)


def test_a_question_that_its_set_does_not_have_is_named():
    probes = probes_of({"base": hidden("a", [1.0])})
    with pytest.raises(UserError, match="does not have"):
        built(Probes(probes.arms, probes.found, {"set": questions_of(["b"])}))


def test_an_arm_may_have_weights_alone():
    """As where nothing else is looked at."""
    probes = probes_of({"base": [], ARM: []})
    weights = {("tiny", ARM): found_in([row_of(None, "weight_change", 0.2)])}
    frame = built(Probes(probes.arms, {}, probes.questions), weights)
    assert frame.height == 1 and found(frame, arm="t-set", measure="weight_change")["estimate"] == 0.2


def test_an_empty_file_has_no_rows():
    assert built(probes_of({"base": [], ARM: []})).is_empty()
