"""Compare what another form of the questions changes in tuned arms and in base."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.measures.generalisation import shifts
    from faithtune.measures.stats.bootstrap import Sampling

    spec = snakemake.params.spec
    answers = {
        tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, ANSWERS) for path in snakemake.input
    }
    arms = shifts.shifted(spec["arms"], answers, spec["sets"])
    found = shifts.shifts(arms, spec["alphas"], Sampling(**spec["sampling"]))
    parquet.write(found, snakemake.output[0], shifts.SHIFTS)
