"""What the last run in this folder has done, does and failed at: python workflow/status.py [FOLDER]"""

import platform
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "scripts"))

import psutil

from faithtune.jobs import status


def is_alive(run: status.Run, folder: Path) -> bool | None:
    """Whether a Snakemake works in `folder`; None where the run is another machine's."""
    if run.about.get("Host") != platform.node():
        return None
    for process in psutil.process_iter(["cwd", "cmdline"]):
        asked = [Path(part).name for part in (process.info["cmdline"] or [])[:3]]
        if process.info["cwd"] == str(folder) and "snakemake" in asked:
            return True
    return False


folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
run = status.latest(folder)
if run is None:
    sys.exit(f"faithtune: {folder}: no run has left a log here; expected the folder in which snakemake was started")
print(status.status(run, folder, is_alive(run, folder)))
