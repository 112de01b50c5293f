"""What sequences of tunings forget and transfer."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.measures.long_term import forgetting
    from faithtune.measures.stats.bootstrap import Sampling

    spec = snakemake.params.spec
    sequences = [[forgetting.Stage(**stage) for stage in stages] for stages in spec["sequences"]]
    changes = parquet.read(snakemake.input.changes, CHANGES)
    found = forgetting.forgetting(sequences, changes, Sampling(**spec["sampling"]))
    parquet.write(found, snakemake.output[0], forgetting.FORGETTING)
