"""Print a study's verdict: python workflow/verdict.py [--directory DIR] [--fail-if "faithfulness fell"] ...

Exits 1 if a condition is true of an arm, 0 if none is, 2 on wrong use or without a verdict.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scripts"))

from faithtune.core.errors import UserError
from faithtune.report.verdict import conditions

parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0].partition(":")[0])
parser.add_argument("--directory", type=Path, default=Path("."), help="the folder in which snakemake was started")
condition = '"SUBJECT WORD" or "SUBJECT WORD in MODEL/ARM", such as "faithfulness fell"; may be given several times'
parser.add_argument("--fail-if", action="append", default=[], metavar="CONDITION", help=condition)
given = parser.parse_args()
try:
    document = conditions.load(given.directory)
    wanted = [conditions.parse(text, document["arms"]) for text in given.fail_if]
except UserError as error:
    print(f"faithtune: {error}", file=sys.stderr)
    sys.exit(2)
print(conditions.text(document) or "The study has no tuned arm.")
if found := conditions.true_of(document, wanted):
    sys.exit("\n" + "\n".join(f"faithtune: {line}" for line in found))
