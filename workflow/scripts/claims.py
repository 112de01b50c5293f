"""Test the paper's claims on the study, and what it says of the inside of arms where it looks there."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.core.schemas.probes import CORRELATIONS, PROBES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.measures import claims
    from faithtune.measures.inside import claims as inside_claims
    from faithtune.measures.inside.estimates import Probes
    from faithtune.measures.stats.bootstrap import Sampling
    from faithtune.models import weights

    spec, given = snakemake.params.spec, snakemake.input
    cards, sampling = (
        dict(zip(spec["models"], map(job.read_json, given.models), strict=True)),
        Sampling(**spec["sampling"]),
    )
    frame = claims.claims(
        spec["arms"],
        parquet.read(given.changes, CHANGES),
        spec["reasoning"],
        weights.parameter_counts(spec["parameters"], cards),
        sampling,
        spec["turns"],
    )
    if probed := spec["probed"]:
        found = {
            tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, PROBES) for path in given.probes
        }
        questions = {
            name: parquet.read(path, QUESTIONS) for name, path in zip(probed["eval_sets"], given.questions, strict=True)
        }
        correlated = parquet.read(given.inside[1], CORRELATIONS)
        probes = Probes(probed["arms"], found, questions)
        frame = pl.concat([frame, inside_claims.claims(spec["arms"], probes, correlated, sampling)])
    parquet.write(frame, snakemake.output[0], claims.CLAIMS)
