"""The report: one self-contained page with all results of a study.

The verdict on each arm first, then claims, the main tables, the figures and, folded, all else: the tables in the
background (diagnostics, data, prompts), supplements, prompts, provenance and run times.
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
from faithtune.report.tables import tables
from faithtune.report.tables.cells import SHORT
from faithtune.report.tables.texts import Texts
from faithtune.report.verdict import document

TEMPLATE = paths.WORKFLOW / "report/page.html"


class RenderedTable(NamedTuple):
    """A table as the page shows it."""

    name: str
    title: str
    texts: Texts
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    part: str = tables.OTHER  # of tables.PARTS: background and supplements are folded after the others


class RenderedFigure(NamedTuple):
    """A figure as the page shows it."""

    name: str
    title: str
    caption: str
    svg: str


def render(
    verdict: dict,
    shown: Mapping[str, RenderedTable],
    figures: Sequence[RenderedFigure],
    prompts: Mapping[str, str],
    origin: dict,
    runtimes: str,
    template: str,
) -> str:
    """The page as HTML.

    verdict: verdict.json; shown: the tables by name; origin: the study's provenance; runtimes: `runtimes.summary`.
    """
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"picture": _picture, "bold": _bold}
    configuration = origin["configuration"]
    return environment.from_string(template).render(
        verdict=verdict,
        definitions=document.DEFINITIONS,
        opening=document.opening(verdict),
        reading=document.reading(verdict),
        picture_of_verdict=next((figure for figure in figures if figure.name == VERDICT), None),
        claims=shown["claims"],
        figures=[figure for figure in figures if figure.name != VERDICT],
        tables=_parts(shown, tables.MAIN) + [table for table in _parts(shown, tables.OTHER) if table.name != "claims"],
        background=_parts(shown, tables.BACKGROUND),
        supplements=_parts(shown, tables.SUPPLEMENT),
        prompts=prompts,
        models=list(configuration["models"]),
        tunings=[*configuration["tunings"], *configuration["hosted_tunings"]],
        eval_sets=configuration["eval_sets"],
        line=provenance.summary_line(origin),
        computed=precision.describe(origin["precision"]) if origin["precision"] else None,
        origin=json.dumps(origin, indent=2, ensure_ascii=False),
        runtimes=runtimes,
    )


def _parts(shown: Mapping[str, RenderedTable], part: str) -> list[RenderedTable]:
    return [table for table in shown.values() if table.part == part]


def _bold(text: str) -> tuple[str, str] | None:
    """The number of a main table's cell that is in bold, and the rest of the cell; None for other cells."""
    found = SHORT.fullmatch(text)
    return (found["number"], text[found.end("number") + len("**") :]) if found and found["bold"] else None


def _picture(svg: str) -> str:
    """An SVG as a data URL: inlined beside others, its ids would clash with theirs."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
