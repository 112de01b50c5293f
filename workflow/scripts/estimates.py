"""Estimate every figure of the study."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import estimates, measures, parquet

    spec = snakemake.params.spec

    def read(name, schema):
        """The frames of a stage, by (model, arm, eval_set)."""
        paths = snakemake.input.get(name) or []
        return {tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, schema) for path in paths}

    frame, changes = estimates.build(
        spec["arms"],
        answers=read("answers", parquet.ANSWERS),
        measures=read("measures", measures.MEASURES),
        chains=read("chains", parquet.CHAINS),
        paraphrases=read("paraphrases", parquet.PARAPHRASES),
        mistakes=read("mistakes", parquet.MISTAKES),
        questions={
            name: parquet.read(path, parquet.QUESTIONS)
            for name, path in zip(spec["eval_sets"], snakemake.input.questions, strict=True)
        },
        alphas=spec["alphas"],
        confidence=spec["confidence"],
        replicates=spec["replicates"],
        seed=spec["seed"],
    )
    parquet.write(changes, snakemake.output.changes, parquet.CHANGES)
    parquet.write(frame, snakemake.output.estimates, parquet.ESTIMATES)
