"""Test the paper's claims on the study."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.measures import claims
    from faithtune.measures.stats.bootstrap import Sampling
    from faithtune.models import weights

    spec = snakemake.params.spec
    cards = dict(zip(spec["models"], map(job.read_json, snakemake.input.models), strict=True))
    frame = claims.claims(
        spec["arms"],
        parquet.read(snakemake.input.changes, CHANGES),
        spec["reasoning"],
        weights.parameter_counts(spec["parameters"], cards),
        Sampling(**spec["sampling"]),
        spec["turns"],
    )
    parquet.write(frame, snakemake.output[0], claims.CLAIMS)
