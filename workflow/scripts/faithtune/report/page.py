"""The report: one page with all that a study came to, which needs nothing but itself.

The claims first, then tables, figures, diagnostics, data, prompts, where it all comes from and
where the time went. Pictures lie in the page, and every text is escaped: a prompt, a name or what a model
said may hold anything.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jinja2

from faithtune.core import paths
from faithtune.jobs import provenance
from faithtune.models import precision

# The tables that say what the others rest on.
BEHIND = ("t9_diagnostics", "t10_data", "t11_hyper_parameters", "t12_prompts")
TEMPLATE = paths.WORKFLOW / "report/page.html"


class Table(NamedTuple):
    """A table as it is shown."""

    name: str
    title: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


class Figure(NamedTuple):
    """A figure as it is shown."""

    name: str
    title: str
    caption: str
    svg: str


def render(
    tables: Mapping[str, Table],
    figures: Sequence[Figure],
    prompts: Mapping[str, str],
    origin: dict,
    runtimes: str,
    template: str,
) -> str:
    """The page as HTML; tables: by name, origin: the study's provenance, runtimes: `runtimes.summary`."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["picture"] = _picture
    configuration = origin["configuration"]
    return environment.from_string(template).render(
        claims=tables["claims"],
        figures=figures,
        tables=[table for name, table in tables.items() if name not in ("claims", *BEHIND)],
        behind=[tables[name] for name in BEHIND if name in tables],
        prompts=prompts,
        models=list(configuration["models"]),
        tunings=[*configuration["tunings"], *configuration["hosted_tunings"]],
        eval_sets=configuration["eval_sets"],
        line=provenance.line(origin),
        computed=precision.describe(origin["precision"]) if origin["precision"] else None,
        origin=json.dumps(origin, indent=2, ensure_ascii=False),
        runtimes=runtimes,
    )


def _picture(svg: str) -> str:
    """An SVG as an address that holds all of it: beside others in one page its ids would meet theirs."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode()
