"""The report: one self-contained page with all results of a study.

The verdict on each arm first, then claims, the main tables, the figures and, folded, all else: the tables in the
background (diagnostics, data, prompts), prompts, provenance and run times.
Pictures are embedded, and every text is escaped, because a prompt, a name or a model's text may hold anything.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jinja2

from faithtune.core import paths
from faithtune.jobs import provenance
from faithtune.models import precision
from faithtune.report.figures.figures import VERDICT
from faithtune.report.verdict import document

TEMPLATE = paths.WORKFLOW / "report/page.html"


class RenderedTable(NamedTuple):
    """A table as the page shows it."""

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    background: bool = False  # says what the other tables rest on: folded after them


class RenderedFigure(NamedTuple):
    """A figure as the page shows it."""

    name: str
    title: str
    caption: str
    svg: str


def render(
    verdict: dict,
    tables: Mapping[str, RenderedTable],
    figures: Sequence[RenderedFigure],
    prompts: Mapping[str, str],
    origin: dict,
    runtimes: str,
    template: str,
) -> str:
    """The page as HTML.

    verdict: verdict.json; tables: by name; origin: the study's provenance; runtimes: `runtimes.summary`.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["picture"] = _picture
    configuration = origin["configuration"]
    return environment.from_string(template).render(
        verdict=verdict,
        reading=document.reading(verdict),
        picture_of_verdict=next((figure for figure in figures if figure.name == VERDICT), None),
        claims=tables["claims"],
        figures=[figure for figure in figures if figure.name != VERDICT],
        tables=[table for name, table in tables.items() if name != "claims" and not table.background],
        background=[table for table in tables.values() if table.background],
        prompts=prompts,
        models=list(configuration["models"]),
        tunings=[*configuration["tunings"], *configuration["hosted_tunings"]],
        eval_sets=configuration["eval_sets"],
        line=provenance.summary_line(origin),
        computed=precision.describe(origin["precision"]) if origin["precision"] else None,
        origin=json.dumps(origin, indent=2, ensure_ascii=False),
        runtimes=runtimes,
    )


def _picture(svg: str) -> str:
    """An SVG as a data URL: inlined beside others, its ids would clash with theirs."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
