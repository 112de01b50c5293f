"""Print the progress and failures of the last run in a folder: python workflow/status.py [FOLDER]"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scripts"))

from faithtune.jobs import status

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
run = status.latest(folder)
if run is None:
    sys.exit(f"faithtune: {folder}: no log of a run; expected the folder in which snakemake was started")
print(status.status(run, folder))
