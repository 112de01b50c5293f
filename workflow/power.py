"""Print the least change that a study finds with 80 % power, by its numbers of questions and of tuning seeds.

python workflow/power.py [--configfile FILE] [--questions N ...] [--seeds N ...] [--accuracy A] [--faithful F]
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scripts"))
os.environ["TQDM_DISABLE"] = "1"  # read when tqdm is imported

import polars as pl
import yaml

from faithtune.core import paths
from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.measures.stats.bootstrap import Sampling
from faithtune.power import power
from faithtune.study import config as study_config


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The least change that a study finds with 80 % power, by oracles.")
    parser.add_argument("--configfile", type=Path, default=paths.REPOSITORY / "config/config.yaml")
    parser.add_argument("--questions", type=int, nargs="+", default=[100, 300, 1000], help="on each evaluation set")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 3, 5], help="of a tuning")
    parser.add_argument("--accuracy", type=float, default=0.7, help="assumed, with chain")
    parser.add_argument("--faithful", type=float, default=0.7, help="share of answers assumed to rest on the chain")
    parser.add_argument("--spread", type=float, default=0.03, help="standard deviation assumed between seeds")
    given = parser.parse_args()
    if min(given.questions) < 2 or min(given.seeds) < 1 or max(given.seeds) > power.SEEDS:
        parser.error(f"expected 2 questions or more, and 1 to {power.SEEDS} seeds")
    if not all(0 <= share <= 1 for share in (given.accuracy, given.faithful, given.spread)):
        parser.error("accuracy, faithful and spread are shares: expected 0 to 1")
    return given


def main() -> None:
    given = arguments()
    try:
        study = study_config.load(yaml.safe_load(given.configfile.read_text(encoding="utf-8")) or {})
        templates = prompts.read_templates(sorted(Path(study.prompts).glob("*.txt")))
    except (UserError, OSError, yaml.YAMLError) as error:
        sys.exit(f"faithtune: {' '.join(str(error).split())}")
    assumed = power.Assumed(given.accuracy, given.faithful, given.spread)
    changes = power.simulate_changes(study.tests, study.measures.alphas, templates, assumed, study.seed)
    sampling = Sampling(study.measures.confidence, 1000, study.seed)
    sets = sorted({1, len(study.eval_sets)})
    rows = [
        power.detectable(changes, questions, seeds, n_sets, sampling, study.seed)
        for questions in given.questions
        for seeds in given.seeds
        for n_sets in sets
    ]
    print(power.table(pl.DataFrame(rows, schema=power.DETECTABLE)))


main()
