"""What tunings changed in and out of the domains of their training sets."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.measures.generalisation import domains
    from faithtune.measures.stats.bootstrap import Sampling

    spec = snakemake.params.spec
    changes = parquet.read(snakemake.input.changes, CHANGES)
    found = domains.generalisation(changes, spec["arms"], spec["domains"], Sampling(**spec["sampling"]))
    parquet.write(found, snakemake.output[0], domains.GENERALISATION)
