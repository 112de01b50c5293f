"""What sequences of tunings forget and transfer."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES, ESTIMATES
    from faithtune.measures.alpha import OF_STUDY
    from faithtune.measures.long_term import forgetting
    from faithtune.measures.stats.bootstrap import Sampling

    spec = snakemake.params.spec
    sequences = [[forgetting.Stage(**stage) for stage in stages] for stages in spec["sequences"]]
    given, sampling = snakemake.input, Sampling(**spec["sampling"])
    changes, estimates = parquet.read(given.changes, CHANGES), parquet.read(given.estimates, ESTIMATES)
    measures = parquet.read(given.measures, OF_STUDY)
    last = [arm for arm in spec["arms"] if any((arm["model"], arm["label"]) == of[-1][:2] for of in sequences)]
    averages = forgetting.averages(last, estimates, measures, sampling)
    found = forgetting.forgetting(sequences, changes, averages, sampling)
    parquet.write(found, snakemake.output[0], forgetting.FORGETTING)
