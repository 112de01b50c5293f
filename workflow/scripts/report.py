"""Write the study's report, one page."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from pathlib import Path

    from faithtune.core import parquet
    from faithtune.jobs import runtimes
    from faithtune.models import weights
    from faithtune.report import page
    from faithtune.report.figures import figures
    from faithtune.report.tables import tables, texts
    from faithtune.report.tables.cells import TableContext

    spec, given = snakemake.params.spec, snakemake.input
    cards = dict(zip(spec["models"], map(job.read_json, given.models), strict=True))
    study = TableContext(
        spec["arms"],
        weights.parameter_counts(spec["parameters"], cards),
        spec["confidence"],
        spec["counts_whole"],
        spec["turns"],
    )

    def table(path):
        name = Path(path).stem
        rows = parquet.read(path, tables.table(name).schema)
        frame, what = tables.readable(rows, name, study), tables.table(name)
        return page.RenderedTable(
            name, what.title, texts.around(rows, frame, name, study), frame.columns, frame.rows(), what.part
        )

    def figure(path):
        what = figures.figure(Path(path).stem)
        return page.RenderedFigure(Path(path).stem, what.title, what.caption, Path(path).read_text(encoding="utf-8"))

    text = page.render(
        job.read_json(given.verdict),
        {Path(path).stem: table(path) for path in given.tables},
        [figure(path) for path in given.figures],
        spec["templates"],
        job.read_json(given.provenance),
        runtimes.summary(spec["benchmarks"]),
        page.TEMPLATE.read_text(encoding="utf-8"),
    )
    with parquet.atomic_path(snakemake.output[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
