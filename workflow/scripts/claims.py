"""Ask the paper's claims of the study."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import claims, models, parquet
    from faithtune.bootstrap import Sampling

    spec = snakemake.params.spec
    cards = dict(zip(spec["models"], map(job.read_json, snakemake.input.models), strict=True))
    frame = claims.claims(
        spec["arms"],
        parquet.read(snakemake.input.changes, parquet.CHANGES),
        spec["reasoning"],
        models.sizes(spec["parameters"], cards),
        Sampling(spec["confidence"], spec["replicates"], spec["seed"]),
    )
    parquet.write(frame, snakemake.output[0], claims.CLAIMS)
