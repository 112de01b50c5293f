"""Divide what tuning changed into the part of the chains and the part of their reading."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.measures.generalisation import crossing
    from faithtune.measures.stats.bootstrap import Sampling

    spec, given = snakemake.params.spec, snakemake.input

    def frames(paths, depth):
        """ANSWERS by the last parts of their paths: model, reader, writer if another one, evaluation set."""
        return {tuple(path.removesuffix(".parquet").split("/")[-depth:]): parquet.read(path, ANSWERS) for path in paths}

    found = crossing.crossing(
        crossing.pairs(spec["pairs"], frames(given.own, 3), frames(given.crossed, 4)),
        spec["alphas"],
        Sampling(**spec["sampling"]),
    )
    parquet.write(found, snakemake.output[0], crossing.CROSSING)
