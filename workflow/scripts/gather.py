"""Join the shards of a set."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import parquet

    schema = getattr(parquet, snakemake.wildcards.stage.upper())
    parquet.write(pl.concat(parquet.read(path, schema) for path in snakemake.input), snakemake.output[0], schema)
