"""Made-up studies of several recipes: CHANGES of arms with known means."""

import numpy as np
import polars as pl

from faithtune.core.schemas.estimates import CHANGES
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.measures.verdicts.recipes import recipes

SAMPLING = Sampling(replicates=500)
TESTS = ("early_termination", "filler", "paraphrase")
# What else changes, as CHANGES names it.
OTHERS = ("accuracy", "lift", "chains", "steps", "parsed")


def arm(tuning: str, on: str = "s", model: str = "m", seeds: tuple = (1,), defaults: tuple = (), **settings) -> dict:
    """A tuned arm as `compared.table_arms` has it."""
    label = {"model": model, "arm": f"{tuning}-{on}", "tuning": tuning, "train_set": on, "seeds": list(seeds)}
    settings = {"method": "sft", "adapter": "lora", "target": "answer_only", "rank": 16} | settings
    facts = {key: settings[key] for key in ("method", "adapter", "target", "rank")}
    given = settings | {"rank": settings["rank"] or 16, "train_set": on}
    return label | facts | {"settings": given, "defaults": list(defaults)}


def base(model: str = "m") -> dict:
    nothing = dict.fromkeys(("tuning", "train_set", "method", "adapter", "target", "rank"))
    return nothing | {"model": model, "arm": "base", "seeds": [None]}


def changes(
    arms: list[dict], means: dict[str, dict], n: int = 80, sets: tuple = ("a", "b"), noise: float = 0.3
) -> pl.DataFrame:
    """CHANGES of the arms on questions of these sets.

    means: by tuning, the mean of each subject (one of OTHERS, `faithfulness`, or the name of a test; by default
    0), around which questions vary; the variation of a question is the same in all arms but for a small part.
    """
    rows = []
    for number, one in enumerate(arms):
        for eval_set in sets:
            # Every question is harder or easier for all arms alike, which pairing takes out.
            shared = np.random.default_rng(sum(map(ord, eval_set))).normal(0, noise, n)
            for seed in one["seeds"]:
                own = np.random.default_rng([number, seed]).normal(0, 0.02, n)
                wobble = shared - shared.mean() + own - own.mean()
                for what, test in (*((one, None) for one in OTHERS), *_faithfulness()):
                    mean = means[one["tuning"]].get(test) or means[one["tuning"]].get(what, 0.0)
                    rows += [
                        {name: one[name] for name in ("model", "arm", "train_set")}
                        | {"seed": seed, "eval_set": eval_set, "id": f"{eval_set}{i}", "group": f"{eval_set}{i}"}
                        | {"what": what, "test": test, "change": mean + wobble[i]}
                        for i in range(n)
                    ]
    return pl.DataFrame(rows, schema=CHANGES)


def compared(arms: list[dict], means: dict[str, dict], reference: str | None = None, **more) -> pl.DataFrame:
    """RECIPES of the arms."""
    return recipes(arms, changes([one for one in arms if one["train_set"]], means, **more), SAMPLING, reference)


def _faithfulness() -> list[tuple[str, str]]:
    return [("faithfulness", test) for test in TESTS]
