"""All metrics: what each number in the estimates is, defined once.

Captions, cells, claims, figures and the manual read titles, definitions, units and directions here. `test_metrics`
checks that these are the metrics that measures/ computes.
"""

from faithtune.measures.metrics import accuracy, commitment, controls, diagnostics, match
from faithtune.measures.metrics.metric import DIRECTIONS

_DEFINED = (accuracy, match, controls, commitment, diagnostics)
METRICS = {metric.name: metric for module in _DEFINED for metric in module.METRICS}


def markdown_table() -> str:
    """All metrics as a Markdown table, for the manual."""
    lines = ["| metric | test, α | what it is | n | unit | direction | source |", "|---|---|---|---|---|---|---|"]
    for metric in METRICS.values():
        where, source = metric.where or "once per arm and set", metric.source or "this study"
        what = metric.what + (f"; {metric.note}" if metric.note else "")
        cells = (f"`{metric.name}`", where, what, metric.n, metric.unit, DIRECTIONS[metric.direction], source)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
