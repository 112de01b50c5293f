"""Read answers at each kept fraction, and estimate every figure of the study."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import estimates, measures, parquet

    spec = snakemake.params.spec

    def read(name, schema):
        """The frames of a stage, by (model, arm, eval_set)."""
        paths = snakemake.input.get(name) or []
        return {tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, schema) for path in paths}

    questions = {
        name: parquet.read(path, parquet.QUESTIONS)
        for name, path in zip(spec["eval_sets"], snakemake.input.questions, strict=True)
    }
    answers, chains = read("answers", parquet.ANSWERS), read("chains", parquet.CHAINS)
    measured = {key: measures.measure(frame, spec["alphas"]) for key, frame in answers.items()}
    frame, changes = estimates.build(
        spec["arms"],
        answers=answers,
        measures=measured,
        chains=chains,
        paraphrases=read("paraphrases", parquet.PARAPHRASES),
        mistakes=read("mistakes", parquet.MISTAKES),
        questions=questions,
        alphas=spec["alphas"],
        confidence=spec["confidence"],
        replicates=spec["replicates"],
        seed=spec["seed"],
    )
    parquet.write(measures.joined(measured), snakemake.output.measures, measures.OF_STUDY)
    parquet.write(changes, snakemake.output.changes, parquet.CHANGES)
    parquet.write(frame, snakemake.output.estimates, parquet.ESTIMATES)
