"""Estimate every figure of the study."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import estimates, measures, parquet

    spec = snakemake.params.spec
    pairs = [(arm["model"], arm["arm"], eval_set) for arm in spec["arms"] for eval_set in spec["eval_sets"]]

    def read(name, schema):
        """The frames of a stage, by (model, arm, eval_set)."""
        return {pair: parquet.read(path, schema) for pair, path in zip(pairs, snakemake.input[name], strict=True)}

    frame = estimates.build(
        spec["arms"],
        answers=read("answers", parquet.ANSWERS),
        measures=read("measures", measures.MEASURES),
        chains=read("chains", parquet.CHAINS),
        paraphrases=read("paraphrases", parquet.PARAPHRASES) if snakemake.input.get("paraphrases") else {},
        questions={
            name: parquet.read(path, parquet.QUESTIONS)
            for name, path in zip(spec["eval_sets"], snakemake.input.questions, strict=True)
        },
        alphas=spec["alphas"],
        confidence=spec["confidence"],
        replicates=spec["replicates"],
        seed=spec["seed"],
    )
    parquet.write(frame, snakemake.output[0], parquet.ESTIMATES)
