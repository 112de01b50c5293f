"""Lay out one table."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import parquet, tables

    name = snakemake.wildcards.table
    selection = tables.select(parquet.read(snakemake.input[0], parquet.ESTIMATES), name)
    tables.write(selection, name, list(snakemake.output), snakemake.params.spec["confidence"])
