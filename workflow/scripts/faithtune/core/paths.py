"""Paths of the workflow's own files, whatever the working directory is."""

from pathlib import Path

WORKFLOW = Path(__file__).resolve().parents[3]
REPOSITORY = WORKFLOW.parent
