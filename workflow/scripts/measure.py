"""Read answers at each kept fraction."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import measures, parquet

    answers = parquet.read(snakemake.input[0], parquet.ANSWERS)
    frame = measures.at_alpha(answers, snakemake.params.spec["alphas"])
    parquet.write(frame, snakemake.output[0], measures.MEASURES)
