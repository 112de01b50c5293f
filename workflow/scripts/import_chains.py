"""Take over chains that were written elsewhere, and read their answers."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import imported, parquet, sources

    source = snakemake.params.spec["source"]
    chains, answers = imported.read(
        sources.read(source, snakemake.input.source),
        parquet.read(snakemake.input.questions, parquet.QUESTIONS),
        source,
    )
    parquet.write(chains, snakemake.output.chains, parquet.CHAINS)
    parquet.write(answers, snakemake.output.answers, parquet.ANSWERS)
