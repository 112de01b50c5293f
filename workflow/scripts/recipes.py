"""Compare the recipes of the study."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.measures.stats.bootstrap import Sampling
    from faithtune.measures.verdicts.recipes import RECIPES, recipes

    spec = snakemake.params.spec
    changes = parquet.read(snakemake.input.changes, CHANGES)
    frame = recipes(spec["arms"], changes, Sampling(**spec["sampling"]), spec["reference"])
    parquet.write(frame, snakemake.output[0], RECIPES)
