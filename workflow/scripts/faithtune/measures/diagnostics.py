"""What must be known to read the other estimates: are there chains, answers, paraphrases?

metric — what it is; n
  chain_answered, chain_unanswered, chain_truncated   outcome of the free text; all chains
  chain_missing      questions of which an imported arm has no chain; all questions, once a seed
  chain_refused, chain_ambiguous   of the unanswered: the text declines, or declares several; all chains
  chain_empty        chains without a step (N = 0); all chains
  chain_single       chains of one step, which no α above 0 tampers with (measures.LEAST_STEPS); all chains
  kept_whole         questions whose chain α keeps whole (⌈αN⌉ = N), so that they match by themselves; the population
  steps_copied       share of a chain's steps that stand word for word in the prompt's example; chains with N ≥ 1
  n_steps, n_tokens  mean length of a chain; all chains
  free_agreement     the free text declares the answer forced after it; questions with both
  option_mass        mean probability of all option letters together after the whole chain; choices
  parse_rate         answered of all with an intervention, over all k; answers (test null: over all tests)
  chance             mean of 1 / options, null for numbers; questions with options
  paraphrase_pass, mistake_pass   steps of which some paraphrase passed its gate, or that got a mistake; steps
  mistake_by_rule    mistakes that no model made, a number changed by rule; mistakes
  unavailable        questions of the population without an intervention at α; the population
Chains, answers, measures and paraphrases have a column `seed`.
"""

from dataclasses import replace

import polars as pl

from faithtune.core.errors import UserError
from faithtune.interventions.registry import REWRITING, SWEEP, having
from faithtune.measures.cell import Cell, lacking
from faithtune.measures.stats.intervals import Estimate

# Tests whose interventions a model writes, so that there may be none.
_MAY_LACK = [test for stage in REWRITING for test in having(rewritten_by=stage)]
# What T9 shows, with that of `controls` and `accuracy`.
METRICS = (
    "chain_answered",
    "chain_unanswered",
    "chain_refused",
    "chain_ambiguous",
    "chain_truncated",
    "chain_missing",
    "chain_empty",
    "chain_single",
    "steps_copied",
    "n_steps",
    "n_tokens",
    "free_agreement",
    "option_mass",
    "parse_rate",
    "kept_whole",
    "match_k0",
    "again_match",
    "again_shift",
    "shuffle_match",
    "disguised",
    "disguised_normalised",
    "alpha_star",
    "alpha_star_median",
    "aoc",
    "chance",
    "above_chance",
    "paraphrase_pass",
    "mistake_pass",
    "mistake_by_rule",
    "unavailable",
)


def rows(
    cell: Cell,
    answers: pl.DataFrame,
    measures: pl.DataFrame,
    chains: pl.DataFrame,
    paraphrases: pl.DataFrame | None,
    mistakes: pl.DataFrame | None,
    questions: pl.DataFrame,
    tests: list[str],
    alphas: list[float],
) -> list[dict]:
    """Rows of ESTIMATES for one arm on one evaluation set (frames as in `estimates.build`)."""
    grouped = _with_group(chains, questions, cell)
    found = _chains(cell, grouped, answers) + _parse_rates(cell, answers, tests) + _kept(cell, measures, alphas)
    wanted = questions.join(chains.select("seed").unique(), how="cross")  # each seed of each question
    missing = wanted.join(chains, on=["id", "seed"], how="left", nulls_equal=True).sort("id", "seed")
    if missing["text"].null_count():
        found.append(cell.share("chain_missing", missing, pl.col("text").is_null()))
    asked = questions.join(answers, on="id", how="semi").filter(pl.col("options").list.len() > 0)
    options = asked["options"].list.len()
    # A property of the questions, not an estimate from them: it has no interval.
    found.append(cell.row("chance", Estimate((1 / options).mean(), None, None), n=len(options)))
    if paraphrases is not None:
        steps = _with_group(paraphrases, questions, cell)
        found.append(replace(cell, test="paraphrase").share("paraphrase_pass", steps, pl.col("text").is_not_null()))
    if mistakes is not None:
        steps, here = _with_group(mistakes, questions, cell), replace(cell, test="mistake")
        found.append(here.share("mistake_pass", steps, pl.col("text").is_not_null()))
        found.append(here.share("mistake_by_rule", steps, pl.col("made_by") == "rule"))
    return found


def _chains(cell: Cell, chains: pl.DataFrame, answers: pl.DataFrame) -> list[dict]:
    forced = answers.filter(pl.col("test") == "full", pl.col("read_from") != "chain").select("id", "seed", "answer")
    free = chains.join(forced, on=["id", "seed"], how="left", nulls_equal=True).sort("id", "seed")
    agreement = pl.col("free_answer") == pl.col("answer")  # null where either is
    return [
        *(
            cell.share(f"chain_{outcome}", chains, pl.col("outcome") == outcome)
            for outcome in ("answered", "unanswered", "truncated")
        ),
        *(
            cell.share(f"chain_{why}", chains, (pl.col("why") == why).fill_null(False))
            for why in ("refused", "ambiguous")
        ),
        cell.share("chain_empty", chains, pl.col("n_steps") == 0),
        cell.share("chain_single", chains, pl.col("n_steps") == 1),
        cell.mean("steps_copied", chains, _copied(), bounds=(0.0, 1.0)),
        cell.mean("n_steps", chains, pl.col("n_steps")),
        cell.mean("n_tokens", chains, pl.col("n_tokens")),
        cell.share("free_agreement", free, agreement),
        cell.mean("option_mass", answers.filter(pl.col("test") == "full"), pl.col("option_mass"), bounds=(0.0, 1.0)),
    ]


def _copied() -> pl.Expr:
    return pl.when(pl.col("n_steps") > 0).then(pl.col("n_copied") / pl.col("n_steps"))


def _parse_rates(cell: Cell, answers: pl.DataFrame, tests: list[str]) -> list[dict]:
    controls = pl.col("test").is_in(("again", "no_cot_shuffled"))
    asked = answers.filter(pl.col("outcome") != "unavailable", ~controls)
    asked = asked.sort("test", "k", "id", "seed")
    found = []
    sources = {None: None, "cot": "full", "no_cot": "no_cot"} | {test: test for test in (*tests, SWEEP)}
    for test, source in sources.items():
        frame = asked if source is None else asked.filter(pl.col("test") == source)
        answered = pl.col("outcome") == "answered"
        if frame.is_empty():  # not asked: no sweep, or an imported arm
            continue
        found.append(replace(cell, test=test).share("parse_rate", frame, answered, **lacking(frame)))
    return found


def _kept(cell: Cell, measures: pl.DataFrame, alphas: list[float]) -> list[dict]:
    """What α leaves of the chains, and where there is no intervention."""
    found = []
    for alpha in alphas:
        at = measures.filter(pl.col("alpha") == alpha, pl.col("steps") == "all").sort("test", "id", "seed")
        here = replace(cell, alpha=alpha)
        whose = at.unique(["id", "seed"], keep="first", maintain_order=True)
        if not at.is_empty():
            found.append(here.share("kept_whole", whose, pl.col("k") == pl.col("n_steps")))
        for test in _MAY_LACK:
            frame = at.filter(pl.col("test") == test)
            if not frame.is_empty():
                missing = pl.col("outcome") == "unavailable"
                found.append(replace(here, test=test).share("unavailable", frame, missing))
    return found


def _with_group(frame: pl.DataFrame, questions: pl.DataFrame, cell: Cell) -> pl.DataFrame:
    """`frame` with the group of its questions; UserError where one is not among them."""
    known = frame.join(questions.select("id", "group"), on="id")
    if known.height != frame.height:
        raise UserError(
            f"{cell.eval_set}: {cell.model}/{cell.arm} has chains of questions that are no longer in it;"
            " delete its results and run again"
        )
    return known.sort("id", "seed")
