"""Take over chains that were written elsewhere, and read their answers."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import imported, parquet, sources

    spec = snakemake.params.spec
    chains, answers = imported.read(
        sources.read(spec["source"], snakemake.input.source, spec.get("checksum")),
        parquet.read(snakemake.input.questions, parquet.QUESTIONS),
        spec["source"],
    )
    parquet.write(chains, snakemake.output.chains, parquet.CHAINS)
    parquet.write(answers, snakemake.output.answers, parquet.ANSWERS)
