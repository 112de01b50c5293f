"""Ask the paper's claims of the study."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import claims, parquet
    from faithtune.statistics import Sampling

    spec = snakemake.params.spec
    cards = [job.read_json(path) for path in snakemake.input.models]
    frame = claims.claims(
        spec["arms"],
        parquet.read(snakemake.input.changes, parquet.CHANGES),
        spec["reasoning_sets"],
        {model: card.get("parameters") for model, card in zip(spec["models"], cards, strict=True)},
        Sampling(spec["confidence"], spec["replicates"], spec["seed"]),
    )
    parquet.write(frame, snakemake.output[0], claims.CLAIMS)
