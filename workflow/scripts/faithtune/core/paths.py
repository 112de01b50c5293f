"""Where the workflow's own files lie, wherever it is started."""

from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[3]
REPOSITORY = WORKFLOW.parent
