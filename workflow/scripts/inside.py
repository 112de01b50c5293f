"""Estimate what the probes of a study's arms come to, and which of it goes with changes of answers."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.core.schemas.probes import CORRELATIONS, INSIDE, PROBES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.measures.inside import estimates
    from faithtune.measures.inside.correlations import correlations
    from faithtune.measures.inside.estimates import Probes
    from faithtune.measures.stats.bootstrap import Sampling

    spec, given = snakemake.params.spec, snakemake.input

    def read(depth, *names, schema=PROBES):
        """The frames by the last parts of their paths: model, arm, and but for weights the evaluation set."""
        found = {}
        for path in (path for name in names for path in given.get(name) or []):
            key = tuple(path.removesuffix(".parquet").split("/")[-depth:])
            found.setdefault(key, []).append(parquet.read(path, schema))
        return {key: pl.concat(frames) for key, frames in found.items()}

    questions = {
        name: parquet.read(path, QUESTIONS) for name, path in zip(spec["eval_sets"], given.questions, strict=True)
    }
    sampling = Sampling(**spec["sampling"])
    probes = Probes(spec["arms"], read(3, "probes", "dose"), questions, read(3, "answers", schema=ANSWERS))
    found = estimates.build(probes, read(2, "weights"), spec["alphas"], sampling)
    parquet.write(found, snakemake.output.inside, INSIDE)
    correlated = correlations(found, parquet.read(given.changes, CHANGES), sampling.confidence)
    parquet.write(correlated, snakemake.output.correlations, CORRELATIONS)
