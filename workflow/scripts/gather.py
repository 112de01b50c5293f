"""Join the shards of a set."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import blocks, parquet

    stage, inputs = snakemake.wildcards.stage, snakemake.input
    schema = getattr(parquet, stage.upper())
    frame = blocks.joined(
        [parquet.read(path, schema) for path in inputs.shards],
        parquet.read(inputs.questions, parquet.QUESTIONS),
        every=stage in ("chains", "interventions", "answers"),
    )
    parquet.write(frame, snakemake.output[0], schema)
