"""Print three questions of a data set as a model will see them: python workflow/look.py CONFIG SET [--directory DIR]

Runs no model. Lengths are in tokens if the weights of a model of the study are here, else in characters.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scripts"))

import yaml

from faithtune.core.errors import UserError
from faithtune.data import prompts
from faithtune.study import config as study_config
from faithtune.study import look

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0].partition(":")[0])
parser.add_argument("config", type=Path, help="the study's configuration")
parser.add_argument("set", help="a name in its data_sets")
parser.add_argument("--directory", type=Path, default=Path("."), help="the folder in which snakemake is started")
given = parser.parse_args()
results = Path("results")
try:
    raw = yaml.safe_load(given.config.read_text(encoding="utf-8")) or {}
    os.chdir(given.directory)  # paths of a configuration are relative to it
    study = study_config.load(raw)
    templates = prompts.read_templates(sorted(Path(study.prompts).glob("*.txt")))
    questions = look.questions(study, given.set, results)
except (UserError, OSError, yaml.YAMLError) as error:
    sys.exit(f"faithtune: {' '.join(str(error).split())}")
try:
    model, loaded, spoken = look.tokenizer(study, results)
except UserError as error:
    sys.exit(f"faithtune: {error}")
shown = questions.head(3)
print(f"{shown.height} of {questions.height} questions of {given.set}, ", end="")
print(f"by the tokenizer of {model}" if model else "without a chat template, as no tokenizer of a model is here yet")
for row in shown.iter_rows(named=True):
    print(f"\n{look.text(row, templates, loaded, study.chains.forced_start, spoken)}")
