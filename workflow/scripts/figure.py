"""Draw match against the kept fraction for one evaluation set."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import figures, parquet, pooling

    spec = snakemake.params.spec
    answers = {
        tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, parquet.ANSWERS)
        for path in snakemake.input
    }
    figures.match_curve(
        pooling.pool(spec["arms"], answers),
        snakemake.wildcards.eval_set,
        snakemake.output.svg,
        snakemake.output.data,
        spec["confidence"],
        spec["replicates"],
        spec["seed"],
    )
