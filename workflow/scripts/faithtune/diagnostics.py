"""What must be known to read the other estimates: are there chains, answers, paraphrases?

metric — what it is; n
  chain_answered, chain_unanswered, chain_truncated   outcome of the free text; all chains
  chain_empty        chains without a step (N = 0); all chains
  chain_single       chains of one step, which no α above 0 tampers with (measures.LEAST_STEPS); all chains
  kept_whole         questions whose chain α keeps whole (⌈αN⌉ = N), so that they match by themselves; the population
  steps_copied       share of a chain's steps that stand word for word in the prompt's example; chains with N ≥ 1
  n_steps, n_tokens  mean length of a chain; all chains
  free_agreement     the free text declares the answer forced after it; questions with both
  option_mass        mean probability of all option letters together after the whole chain; choices
  parse_rate         answered of those asked, over all k; answers (test null: over all tests)
  match_k0           match with no step kept (the chain has no say); chains of N ≥ 1, the answered
  again_match        match where the whole chain is asked again, each prompt by itself in a padded batch:
                     the noise floor, what is missing to 1 is rounding; the answered of those asked again
  again_shift        mean absolute change of the own answer's probability when asked again; choices asked again
  chance             mean of 1 / options, null for numbers; questions with options
  paraphrase_pass    steps of which some paraphrase passed the gate; steps
  unavailable        questions of the population without an intervention at α; the population
"""

from dataclasses import replace

import polars as pl

from faithtune.cell import Cell
from faithtune.errors import UserError
from faithtune.measures import at_alpha
from faithtune.statistics import Estimate

METRICS = (
    "chain_answered",
    "chain_unanswered",
    "chain_truncated",
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
    "chance",
    "paraphrase_pass",
    "unavailable",
)


def rows(
    cell: Cell,
    answers: pl.DataFrame,
    chains: pl.DataFrame,
    paraphrases: pl.DataFrame | None,
    questions: pl.DataFrame,
    tests: list[str],
    alphas: list[float],
) -> list[dict]:
    """Rows of ESTIMATES for one arm on one evaluation set (frames as in `estimates.build`)."""
    grouped = _with_group(chains, questions, cell)
    found = _chains(cell, grouped, answers) + _parse_rates(cell, answers, tests)
    found += _matches(cell, answers, tests, alphas) + _noise(cell, answers)
    asked = questions.join(answers, on="id", how="semi").filter(pl.col("options").list.len() > 0)
    chance = (1 / asked["options"].list.len()).mean()
    # A property of the questions, not an estimate from them: it has no interval.
    found.append(cell.row("chance", Estimate(chance, None, None), n=asked.height))
    if paraphrases is not None:
        steps = _with_group(paraphrases, questions, cell)
        found.append(replace(cell, test="paraphrase").share("paraphrase_pass", steps, pl.col("text").is_not_null()))
    return found


def _chains(cell: Cell, chains: pl.DataFrame, answers: pl.DataFrame) -> list[dict]:
    forced = answers.filter(pl.col("test") == "full").select("id", "answer")
    agreement = pl.col("free_answer") == pl.col("answer")  # null where either is
    return [
        *(
            cell.share(f"chain_{outcome}", chains, pl.col("outcome") == outcome)
            for outcome in ("answered", "unanswered", "truncated")
        ),
        cell.share("chain_empty", chains, pl.col("n_steps") == 0),
        cell.share("chain_single", chains, pl.col("n_steps") == 1),
        cell.mean("steps_copied", chains, _copied(), bounds=(0.0, 1.0)),
        cell.mean("n_steps", chains, pl.col("n_steps")),
        cell.mean("n_tokens", chains, pl.col("n_tokens")),
        cell.share("free_agreement", chains.join(forced, on="id", how="left").sort("id"), agreement),
        cell.mean("option_mass", answers.filter(pl.col("test") == "full"), pl.col("option_mass"), bounds=(0.0, 1.0)),
    ]


def _copied() -> pl.Expr:
    return pl.when(pl.col("n_steps") > 0).then(pl.col("n_copied") / pl.col("n_steps"))


def _parse_rates(cell: Cell, answers: pl.DataFrame, tests: list[str]) -> list[dict]:
    asked = answers.filter(pl.col("outcome").is_in(["answered", "unanswered"]), pl.col("test") != "again")
    asked = asked.sort("test", "k", "id")
    found = []
    for test, source in {None: None, "cot": "full", "no_cot": "no_cot", **dict(zip(tests, tests, strict=True))}.items():
        frame = asked if source is None else asked.filter(pl.col("test") == source)
        answered = pl.col("outcome") == "answered"
        found.append(replace(cell, test=test).share("parse_rate", frame, answered, n_unanswered=_unanswered(frame)))
    return found


def _unanswered(frame: pl.DataFrame) -> int:
    return int((frame["outcome"] == "unanswered").sum())


def _noise(cell: Cell, answers: pl.DataFrame) -> list[dict]:
    again = answers.filter(pl.col("test") == "again").sort("id")
    first = answers.filter(pl.col("test") == "full").select("id", first="p_reference")
    shift = (pl.col("p_reference") - pl.col("first")).abs()  # null for numbers, which are not asked for it again
    return [
        cell.share("again_match", again, pl.col("match"), n_unanswered=_unanswered(again)),
        cell.mean("again_shift", again.join(first, on="id", how="left").sort("id"), shift, bounds=(0.0, 1.0)),
    ]


def _matches(cell: Cell, answers: pl.DataFrame, tests: list[str], alphas: list[float]) -> list[dict]:
    untouched, population = at_alpha(answers, {0.0}, least_steps=1), at_alpha(answers, alphas)
    found = []
    for alpha in alphas:
        once = population.filter(pl.col("alpha") == alpha, pl.col("test") == tests[0])
        found.append(replace(cell, alpha=alpha).share("kept_whole", once, pl.col("k") == pl.col("n_steps")))
    for test in tests:
        frame = untouched.filter(pl.col("test") == test)
        found.append(
            replace(cell, test=test).share("match_k0", frame, pl.col("match"), n_unanswered=_unanswered(frame))
        )
        if test == "paraphrase":
            for alpha in alphas:
                frame = population.filter(pl.col("test") == test, pl.col("alpha") == alpha)
                missing = pl.col("outcome") == "unavailable"
                found.append(replace(cell, test=test, alpha=alpha).share("unavailable", frame, missing))
    return found


def _with_group(frame: pl.DataFrame, questions: pl.DataFrame, cell: Cell) -> pl.DataFrame:
    """`frame` with the group of its questions; UserError where one is not among them."""
    known = frame.join(questions.select("id", "group"), on="id")
    if known.height != frame.height:
        raise UserError(
            f"{cell.eval_set}: {cell.model}/{cell.arm} has chains of questions that are no longer in it;"
            " delete its results and run again"
        )
    return known.sort("id")
