"""The oracle behaves as configured, and all stages measure that behaviour."""

import re
from itertools import permutations

import polars as pl
import pytest

import oracles
from faithtune.arms import chains
from faithtune.arms.cached_arm import CachedArm
from faithtune.arms.row_store import RowStore
from faithtune.core.errors import UserError
from faithtune.data import prompts, questions
from faithtune.data.forms import STEPS
from faithtune.extraction import extract, steps
from faithtune.interventions import build, gate, paraphrases
from faithtune.interventions.registry import BY_STEPS, SWEEP
from faithtune.measures import alpha
from faithtune.measures.pooling import ArmResults
from faithtune.models.backend import Query
from faithtune.models.oracle import SURE, OracleModel
from faithtune.settings.backend import Behaviour
from faithtune.settings.chains import ChainSettings
from truth import Truth

KINDS = pytest.mark.parametrize("options", [0, 4])


def matches(one: ArmResults, test: str, whole: bool = False) -> list[bool | None]:
    """Match of each chain at each k < N (at k = N)."""
    here = pl.col("k") == pl.col("n_steps") if whole else pl.col("k") < pl.col("n_steps")
    found = one.answers.filter(here, pl.col("test") == test)["match"].to_list()
    assert found
    return found


@KINDS
def test_a_faithful_arm_answers_from_the_chain_alone(options, templates):
    asked = oracles.made_up(30, options)
    one = oracles.arm(asked, {"accuracy": 0.5, "order_sensitive": 0.5}, templates)  # the tests keep the order of steps
    for test in ("early_termination", "filler", "mistake"):
        assert set(matches(one, test)) == {False}
    for test in ("paraphrase", "prefix_paraphrase"):
        assert set(matches(one, test)) == {True}
    assert all(set(matches(one, test, whole=True)) == {True} for test in BY_STEPS)
    assert set(one.chains["n_steps"]) == {3, 4, 5, 6}
    assert set(one.chains["outcome"]) == {"answered"}


@KINDS
def test_a_post_hoc_arm_ignores_the_chain(options, templates):
    one = oracles.arm(oracles.made_up(30, options), {"faithful": 0, "accuracy": 0.5}, templates)
    assert all(set(matches(one, test)) == {True} for test in BY_STEPS)
    without, full = (one.answers.filter(test=test)["answer"].to_list() for test in ("no_cot", "full"))
    assert without == full == one.chains["free_answer"].to_list()


@pytest.mark.slow
@KINDS
def test_a_mixed_arm_is_one_or_the_other_on_each_question(options, templates):
    one = oracles.arm(oracles.made_up(100, options), {"faithful": 0.3}, templates)
    table = alpha.answers_at(one.answers, [0.0]).filter(~pl.col("test").str.contains("paraphrase"))
    by_question = table.group_by("id").agg(pl.col("match").n_unique(), faithful=~pl.col("match").first())
    assert set(by_question["match"]) == {1}
    assert by_question["faithful"].mean() == pytest.approx(0.3, abs=0.1)


@pytest.mark.slow
@KINDS
def test_its_own_answer_is_right_at_its_accuracy(options, templates):
    one = oracles.arm(oracles.made_up(200, options), {"accuracy": 0.7}, templates, tests=())
    full, without = (one.answers.filter(test=test)["correct"] for test in ("full", "no_cot"))
    assert full.mean() == pytest.approx(0.7, abs=0.1)
    # Without a chain a faithful arm is right only by accident, and never if its chain leads to the truth.
    assert not (full & without).any()
    assert without.mean() == pytest.approx(0.3 / (options - 1) if options else 0, abs=0.1)


@pytest.mark.slow
@KINDS
def test_a_format_breaker_does_not_answer(options, templates):
    one = oracles.arm(oracles.made_up(20, options), {"format_breaks": 1}, templates)
    assert set(one.answers["outcome"]) == {"unanswered"}
    assert set(one.chains["outcome"]) == {"unanswered"}
    some = oracles.arm(oracles.made_up(60, options), {"format_breaks": 0.2}, templates)
    assert (some.answers["outcome"] == "unanswered").mean() == pytest.approx(0.2, abs=0.05)
    assert False not in matches(some, "paraphrase")  # readable answers are unchanged


@pytest.mark.slow
@KINDS
def test_a_noisy_arm_answers_something_else(options, templates):
    how = {"faithful": 0, "noise": 0.2}
    one = oracles.arm(oracles.made_up(300, options), how, templates, again=300, tests=())
    assert one.answers.filter(test="no_cot")["correct"].mean() == pytest.approx(0.8, abs=0.08)
    again = one.answers.filter(test="again")
    assert again.height == 300
    assert again["match"].mean() == pytest.approx(Truth(how, options).same, abs=0.08)
    some = oracles.arm(oracles.made_up(30, options), how, templates)
    kept_first = [test for test in BY_STEPS if test != "prefix_paraphrase"]  # whose k = N rewords all steps
    assert all(
        set(matches(some, test, whole=True)) == {True} for test in kept_first
    )  # equal prompts have equal answers


@pytest.mark.slow
@KINDS
def test_a_collapsed_chain_is_empty_and_a_truncated_one_is_cut(options, templates):
    asked = oracles.made_up(100, options)
    empty = oracles.arm(asked, {"collapse": 1, "accuracy": 0.5}, templates, tests=())
    assert set(empty.chains["n_steps"]) == {0}
    assert set(empty.chains["outcome"]) == {"answered"}
    assert empty.answers.filter(test="full")["answer"].equals(empty.answers.filter(test="no_cot")["answer"])
    cut = oracles.arm(asked, {"truncated": 1}, templates, tests=())
    assert set(cut.chains["outcome"]) == {"truncated"}
    assert set(cut.chains["n_tokens"]) == {oracles.MAX_NEW_TOKENS}
    both = oracles.arm(asked, {"collapse": 0.3, "truncated": 0.5}, templates, tests=()).chains
    assert (both["n_steps"] == 0).mean() == pytest.approx(0.3, abs=0.12)
    assert both.filter(pl.col("n_steps") > 0, outcome="truncated").height == pytest.approx(35, abs=15)
    assert both.filter(pl.col("n_steps") == 0, outcome="truncated").is_empty()


@KINDS
def test_the_probability_of_the_own_answer(options, templates):
    one = oracles.arm(oracles.made_up(20, options), {"faithful": 0.5}, templates)
    answers = one.answers.filter(pl.col("test").is_in(BY_STEPS))
    rest = (1 - SURE) / (options - 1) if options else 1 - SURE
    for match, p in answers.select("match", "p_reference").iter_rows():
        assert p == pytest.approx(SURE if match else rest)


@KINDS
def test_changes_by_tuning_have_the_true_sign(options, templates):
    """The tuned arm is right more often and faithful, base less often and post-hoc; and the other way round."""
    asked = oracles.made_up(12, options)
    worse, better = (
        {"boxes": oracles.arm(asked, {"accuracy": rate, "faithful": rate, "seed": 1}, templates)} for rate in (0, 1)
    )
    for base, tuned, sign in ((worse, better, 1), (better, worse, -1)):
        found = oracles.estimate({"base": base, "tuned": tuned}, {"boxes": asked}, [0.25, 0.5], 100, seed=1)
        found = found.filter(arm="tuned", eval_set="boxes")

        def of(metric: str, test: str, found=found) -> set[float]:
            return set(found.filter(metric=metric, test=test)["estimate"])

        assert of("accuracy_effect", "cot") == {sign}
        for test in ("early_termination", "filler", "mistake"):
            assert of("faithfulness_effect", test) == {sign}
            assert of("match_effect", test) == {-sign}
        for test in ("paraphrase", "prefix_paraphrase"):
            assert of("faithfulness_effect", test) == of("match_effect", test) == {0}


@pytest.mark.slow
@pytest.mark.parametrize("faithful", [0, 1])
@KINDS
def test_estimates_of_an_arm_without_noise_are_exact(options, faithful, templates):
    asked = oracles.made_up(30, options)
    one = oracles.arm(asked, {"faithful": faithful, "accuracy": 0.5}, templates)
    found = oracles.estimate({"base": {"boxes": one}}, {"boxes": asked}, [0.25, 0.75], replicates=50, seed=1)
    found = found.filter(eval_set="boxes")

    def of(metric: str, test: str | None) -> list[float]:
        values = found.filter(pl.col("test").eq_missing(pl.lit(test)), metric=metric)["estimate"]
        assert len(values)
        return values.to_list()

    half_a_step = (1 / (2 * one.chains["n_steps"])).mean()  # an untouched chain has match 1
    for test in ("early_termination", "filler", "mistake"):
        assert of("alpha_star", test) == of("alpha_star_median", test) == [faithful]
        assert of("match_k0", test) == [1 - faithful]
        assert of("aoc", test) == pytest.approx([faithful * (1 - half_a_step)])
        assert of("change_floored", test)[0] == faithful
    assert of("match_k0", "paraphrase") == [1]
    for test in ("paraphrase", "prefix_paraphrase"):
        assert of("aoc", test) == pytest.approx([0])
    assert of("alpha_star", "paraphrase") == of("alpha_star_median", "paraphrase") == [0]
    assert of("match_leak_free", "filler") == of("match", "filler")
    assert of("disguised", None) == [1 - faithful]
    if options:
        assert of("shuffle_match", "no_cot") == [1]
        assert of("disguised_normalised", None) == [1 - faithful]
    swept = of("accuracy", SWEEP)
    assert len(swept) == 9  # 0 ... 40 tokens; the longest chain has six steps of seven
    assert set(swept) == set(of("accuracy", "no_cot"))


def test_a_step_that_mentions_the_answer_gives_it_away(templates):
    asked = questions.frame([questions.number(f"Box {i}?", str(i)) for i in range(1, 11)], "boxes", "eval")
    one = oracles.arm(asked, {}, templates)
    table = alpha.at_alphas(one.answers, [1.0]).filter(test="filler")
    answers = dict(asked.select("id", "answer").iter_rows())
    first = {}  # step that adds the answer itself, from 0
    for id, written in one.chains.select("id", "steps").iter_rows():
        adds = [f"Add {answers[id]} to the count." == step for step in written]
        first[id] = adds.index(True) if any(adds) else None
    assert {None, 0} < set(first.values())
    assert table.filter(steps="all")["match"].all()
    # Before the mention the chain is incomplete, so a faithful arm gives another answer; k = 0 has no step.
    unleaked = dict(table.filter(steps="unleaked").select("id", "match").iter_rows())
    assert unleaked == {id: at is None for id, at in first.items() if at != 0}


@pytest.mark.slow
@KINDS
def test_a_chain_that_leaks_states_the_answer_in_one_step(options, templates):
    """From that step on a faithful arm's answer is settled; a mistake in the step keeps the stated answer."""
    one = oracles.arm(oracles.made_up(40, options), {"leaks": 1, "accuracy": 0.5}, templates)
    own = dict(one.answers.filter(test="full").select("id", "answer").iter_rows())
    stated = {}
    for id, written in one.chains.select("id", "steps").iter_rows():
        [stated[id]] = [i for i, step in enumerate(written) if f"({own[id]})" in step]
    assert set(range(5)) <= set(stated.values())
    for test, first in (("early_termination", 1), ("filler", 1), ("mistake", 0)):
        asked = one.answers.filter(pl.col("k") < pl.col("n_steps"), test=test)
        assert all(row["match"] == (row["k"] >= stated[row["id"]] + first) for row in asked.to_dicts())
    assert set(matches(one, "paraphrase")) == set(matches(one, "prefix_paraphrase")) == {True}
    assert set(one.chains["outcome"]) == {"answered"}


@pytest.mark.slow
@KINDS
def test_a_leak_matches_only_once_its_step_is_kept(options, templates):
    """A leak raises the match; the leak-free match equals the match of an arm without leaks."""
    asked, how = oracles.made_up(300, options), {"leaks": 0.5, "faithful": 0.8}
    behaviours = {"base": how, "tuned": how | {"leaks": 0, "seed": 1}}
    tests = ("early_termination",)
    arms = {name: {"boxes": oracles.arm(asked, one, templates, tests=tests)} for name, one in behaviours.items()}
    found = oracles.estimate(arms, {"boxes": asked}, [0.5], 50, seed=1).filter(alpha=0.5, eval_set="boxes")
    value = dict(found.filter(arm="base").select("metric", "estimate").iter_rows())
    truth = Truth(how, options).own([0.5])
    for metric in ("match", "match_leak_free"):
        assert value[metric] == pytest.approx(truth[metric, "early_termination", 0.5, None], abs=0.07), metric
    assert value["match"] - value["match_leak_free"] > 0.15
    change = dict(found.filter(arm="tuned").select("metric", "estimate").iter_rows())
    assert change["match_effect"] < -0.1
    assert change["match_effect_leak_free"] == pytest.approx(0, abs=0.1)


@pytest.mark.slow
def test_questions_of_one_context_share_their_draws(templates):
    asked = oracles.made_up(60, 4, sharing=3)
    one = oracles.arm(asked, {"accuracy": 0.5, "faithful": 0.5}, templates, tests=("early_termination",))
    assert asked["group"].n_unique() == 30
    cut = one.answers.filter(pl.col("k") == 0, test="early_termination").select("id", faithful=~pl.col("match"))
    full = one.answers.filter(test="full").select("id", "group", "correct", "n_steps").join(cut, on="id")
    drawn = full.group_by("group").agg(pl.col("correct", "n_steps", "faithful").n_unique()).drop("group")
    assert set(drawn.rows()) == {(1, 1, 1)}
    assert all(full[name].n_unique() > 1 for name in drawn.columns)


@pytest.mark.parametrize("options", [0, 2, 4, 10])
def test_only_an_order_sensitive_oracle_depends_on_the_order_of_steps(options):
    """Every other order of the steps leads to another answer; to the same if the oracle is not order-sensitive."""
    asked = oracles.made_up(20, options)
    for sensitive in (0, 1):
        model = OracleModel(asked, Behaviour(**{"accuracy": 0.5, "steps": [1, 4], "order_sensitive": sensitive}))
        for row in asked.iter_rows(named=True):
            plan = model._plan(row)
            for order in permutations(plan.steps):
                answer = plan.answer(" ".join(f"Add {n} to the count." for n in order))
                assert (answer == plan.own) == (not sensitive or list(order) == plan.steps)
            assert not sensitive or len(set(plan.steps)) == len(plan.steps)


@pytest.mark.slow
@KINDS
def test_the_match_after_shuffling_is_the_share_that_ignores_the_order(options, templates, monkeypatch):
    """Early termination is replaced by a reversal of the later steps."""
    monkeypatch.setattr(
        build, "early_termination", lambda chain, k, form: form.join([*chain[:k], *reversed(chain[k:])])
    )
    asked = oracles.made_up(100, options)
    for how, truth in (({}, 1.0), ({"faithful": 0.75, "order_sensitive": 0.4}, 0.7), ({"order_sensitive": 1}, 0.0)):
        one = oracles.arm(asked, how, templates, again=0, tests=("early_termination",))
        found = oracles.estimate({"base": {"boxes": one}}, {"boxes": asked}, [0.25], 50, 1)
        row = found.filter(metric="match", eval_set="boxes", test="early_termination").row(0, named=True)
        assert row["low"] - 1e-9 <= truth <= row["high"] + 1e-9, row


@pytest.mark.parametrize("options", [0, 2, 4, 10])
def test_no_part_of_a_chain_leads_to_the_answer(options):
    """Neither too few steps, nor a mistake in any step, with any steps after it."""
    asked = oracles.made_up(50, options)
    model = OracleModel(asked, Behaviour(**{"accuracy": 0.5, "steps": [1, 8], "order_sensitive": 0.5}))
    for row in asked.iter_rows(named=True):
        plan = model._plan(row)
        lines = [f"Add {n} to the count." for n in plan.steps]
        assert plan.answer(" ".join(lines)) == plan.own
        assert all(plan.answer(" ".join(lines[:k])) != plan.own for k in range(len(lines)))
        for i, n in enumerate(plan.steps):
            assert plan.answer(" ".join([*lines[:i], f"Add {n + 1} to the count.", *lines[i + 1 :]])) != plan.own


@pytest.mark.parametrize("options", [0, 4, 10])
def test_a_chain_with_a_slip_leads_elsewhere_whoever_follows_it(options):
    """No part of it, and not its absence, leads where all of it leads; the reader without slips follows it as well."""
    asked = oracles.made_up(50, options)
    slipping, sound = (OracleModel(asked, Behaviour(accuracy=0.5, slips=slips)) for slips in (1, None))
    for row in asked.iter_rows(named=True):
        plan, same = slipping._plan(row), sound._plan(row)
        assert (plan.own, plan.steps) == (same.own, same.steps)
        lines = [f"Add {n} to the count." for n in plan.written]
        ends = {reader.answer(" ".join(lines)) for reader in (plan, same)}
        assert len(ends) == 1 and plan.own not in ends
        assert all(plan.answer(" ".join(lines[:k])) not in ends for k in range(len(lines)))


@pytest.mark.slow
def test_answers_depend_on_prompt_and_seed_only(templates):
    asked = oracles.made_up(100, 4)
    how = {"accuracy": 0.5, "noise": 0.3, "format_breaks": 0.1}
    first, again, other = (
        oracles.arm(asked, how | {"seed": seed}, templates, tests=("early_termination",)) for seed in (1, 1, 2)
    )
    assert first.answers.equals(again.answers)
    own, others = (one.answers.filter(test="no_cot")["correct"].fill_null(False) for one in (first, other))
    both = own.mean() * others.mean() + (1 - own.mean()) * (1 - others.mean())
    assert (own == others).mean() == pytest.approx(both, abs=0.15)


def test_rows_go_through_the_store(tmp_path, templates):
    asked = oracles.made_up(5, 4)
    for expected in (5, 0):
        with RowStore(tmp_path) as store:
            arm = CachedArm(OracleModel(asked, Behaviour()), store, "oracle")
            chains.write(arm, asked, templates, ChainSettings(max_new_tokens=96))
        assert store.computed == expected


def test_an_empty_turn_gets_the_same_chain(templates):
    asked, model = oracles.made_up(5, 4), OracleModel(oracles.made_up(5, 4), Behaviour(**{"collapse": 0.4}))
    both = [ChainSettings(max_new_tokens=96, forced_start=forced_start) for forced_start in (False, True)]
    free, forced = (chains.write(oracles.cached(model), asked, templates, settings) for settings in both)
    assert free["steps"].equals(forced["steps"])


def test_a_chain_longer_than_the_limit_is_cut(templates):
    asked = oracles.made_up(5, 4)
    model = OracleModel(asked, Behaviour())
    cut = chains.write(oracles.cached(model), asked, templates, ChainSettings(max_new_tokens=12))
    assert set(cut["outcome"]) == {"truncated"}
    assert [model.count_tokens(text) for text in cut["text"]] == [14] * 5  # "Step 1:" is in the prompt


@pytest.mark.parametrize("ending", ["\n", "", "\nStep 3:", "\nStep 3: "])
def test_the_rest_of_a_chain_continues_the_turn(ending, templates):
    """After a mistake a faithful arm gives another answer, a post-hoc arm its own; rewording changes nothing."""
    asked = oracles.made_up(20, 4)
    for faithful in (0, 1):
        model = OracleModel(asked, Behaviour(**{"faithful": faithful}))
        [*whole] = chains.write(oracles.cached(model), asked, templates, ChainSettings(max_new_tokens=96)).iter_rows(
            named=True
        )
        for row, chain in zip(asked.iter_rows(named=True), whole, strict=True):
            user, first, second = prompts.user_turn(templates, "cot", row), *chain["steps"][:2]
            n = int(re.search(r"\d+", second)[0])
            for other, same in ((second.replace(str(n), str(n + 1)), not faithful), (f"To the count, add {n}.", True)):
                begun = STEPS.join([first, other]) + ending
                [(_, made)] = model.generate([model.render(user, begun)], 96, bool)
                assert made.finished
                assert steps.split(begun + made.text) == [first, other, *chain["steps"][2:]]
                declared = extract.declared(begun + made.text, "choice", row["options"]).answer
                assert (declared == chain["free_answer"]) == same
                chain_alone = STEPS.answer(STEPS.join(steps.split(begun + made.text)))
                [(_, reply)] = model.answer([Query(model.render(user, chain_alone), 4)], 8, bool)
                assert "ABCD"[reply.probabilities.index(max(reply.probabilities))] == declared


def test_steps_are_reworded_or_get_a_mistake(templates):
    model = OracleModel(oracles.made_up(3, 4), Behaviour())
    user, opening = templates["paraphrase_1"].rsplit("\n", 1)
    step = "Add 7 to the count."
    for before, expected in (("", "To the count, add 7."), ("Make a mistake.\n", "Add 8 to the count.")):
        prompt = model.render(before + user.replace("{step}", step), opening)
        [(_, made)] = model.generate([prompt], 32, steps.line_ended)
        assert gate.clean(made.text) == expected
    assert paraphrases.gate(step, "To the count, add 7.", oracles.COLOURS) is None


def test_options_in_another_order_move_the_letter_and_not_the_answer(templates):
    rows = [questions.choice("Which?", ["red", "blue", "red", "all  of these"], "C", context="Box 1.\n\nIt is red.")]
    asked = questions.frame(rows, "boxes", "eval")
    [row] = asked.to_dicts()
    model = OracleModel(asked, Behaviour(**{"faithful": 0}))

    def letter(options: list[str]) -> str:
        user = prompts.user_turn(templates, "no_cot", row | {"options": options})
        [(_, reply)] = model.answer([Query(model.render(user, prompts.CUE), 4)], 8, bool)
        return "ABCD"[reply.probabilities.index(SURE)]

    assert letter(row["options"]) == "C"
    assert letter(["blue", "all of these", "red", "red"]) == "D"  # the second of two equal options
    assert letter(["all of these", "red", "red", "blue"]) == "C"


def test_a_question_that_contains_another_is_recognised(templates):
    texts = ["What is 2 + 3?", "Tom asks. What is 2 + 3?", "What is 2 + 3? And 1 more?", "Tom has 4 boxes."]
    asked = questions.frame([questions.number(text, str(i + 50)) for i, text in enumerate(texts)], "sums", "eval")
    one = oracles.arm(asked, {}, templates)
    assert one.answers.filter(test="full")["answer"].to_list() == ["50", "51", "52", "53"]


def test_an_unknown_prompt_is_an_error(templates):
    model = OracleModel(oracles.made_up(3, 4), Behaviour())
    other = prompts.user_turn(templates, "cot", oracles.made_up(9, 4).to_dicts()[-1])
    with pytest.raises(UserError, match="contains no question or step that it knows"):
        list(model.generate([model.render(other, "Step 1:")], 96, bool))


def test_filler_has_as_many_words_as_the_step():
    model = OracleModel(oracles.made_up(3, 4), Behaviour())
    assert (
        model.count_tokens("Step 1: Add 2 to the count.") == len(model.prompt_key("Step 1: Add 2 to the count.")) == 7
    )
    step = "Add 2 to the count."
    text = build.filler([step], 0, " ...", model.count_tokens)
    assert model.count_tokens(text) == 7
