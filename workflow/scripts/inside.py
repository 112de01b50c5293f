"""Estimate what the probes of a study's arms come to, and which of it goes with changes of answers."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.core.schemas.probes import CORRELATIONS, INSIDE, PROBES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.measures.inside import estimates
    from faithtune.measures.inside.correlations import correlations
    from faithtune.measures.inside.estimates import Probes
    from faithtune.measures.stats.bootstrap import Sampling

    spec, given = snakemake.params.spec, snakemake.input

    def read(paths, depth):
        """PROBES by the last parts of their paths: model, arm, and of probes the evaluation set."""
        return {tuple(path.removesuffix(".parquet").split("/")[-depth:]): parquet.read(path, PROBES) for path in paths}

    questions = {
        name: parquet.read(path, QUESTIONS) for name, path in zip(spec["eval_sets"], given.questions, strict=True)
    }
    sampling = Sampling(**spec["sampling"])
    probes = Probes(spec["arms"], read(given.probes, 3), questions)
    found = estimates.build(probes, read(given.get("weights") or [], 2), spec["alphas"], sampling)
    parquet.write(found, snakemake.output.inside, INSIDE)
    correlated = correlations(found, parquet.read(given.changes, CHANGES), sampling.confidence)
    parquet.write(correlated, snakemake.output.correlations, CORRELATIONS)
