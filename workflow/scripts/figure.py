"""Draw match against the kept fraction for one evaluation set."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import figures, parquet

    spec = snakemake.params.spec
    answers = {
        (arm["model"], arm["arm"]): parquet.read(path, parquet.ANSWERS)
        for arm, path in zip(spec["arms"], snakemake.input, strict=True)
    }
    figures.match_curve(
        answers,
        snakemake.wildcards.eval_set,
        snakemake.output.svg,
        snakemake.output.data,
        spec["confidence"],
        spec["replicates"],
        spec["seed"],
    )
