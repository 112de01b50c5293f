"""Lay out one table."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.models import weights
    from faithtune.report.tables import tables, write
    from faithtune.report.tables.cells import TableContext

    spec, name = snakemake.params.spec, snakemake.wildcards.table
    source = tables.table(name).source
    files = {each: list(snakemake.input.get(each, [])) for each in source.inputs}
    cards = dict(zip(spec["models"], map(job.read_json, files.get("models", [])), strict=False))
    study = TableContext(
        spec["arms"],
        weights.parameter_counts(spec["parameters"], cards),
        spec["confidence"],
        spec["counts_whole"],
        spec["turns"],
    )
    rows = tables.select(source.read(files, spec), name, study)
    write.write(rows, name, list(snakemake.output), study, job.read_json(snakemake.input.provenance))
