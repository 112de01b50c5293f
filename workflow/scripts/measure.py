"""Read answers at each kept fraction."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import measures, parquet

    frame = measures.measure(
        parquet.read(snakemake.input.answers, parquet.ANSWERS),
        parquet.read(snakemake.input.chains, parquet.CHAINS),
        parquet.read(snakemake.input.questions, parquet.QUESTIONS),
        snakemake.params.spec["alphas"],
    )
    parquet.write(frame, snakemake.output[0], measures.MEASURES)
