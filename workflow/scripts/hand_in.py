"""Take in weights that were tuned elsewhere, checked against their base."""

from faithtune.jobs import job

with job.logged(snakemake.log[0], hub=True):
    from pathlib import Path

    from faithtune.core.errors import prefix_errors
    from faithtune.tuning import handed

    spec, names = snakemake.params.spec, snakemake.wildcards
    with prefix_errors(f"models.{names.model}.tuned.{names.arm}"):
        base = job.read_json(snakemake.input.model)
        card = handed.prepare(spec["kind"], spec["source"], base, Path(snakemake.output.weights))
    job.write_json(card, snakemake.output.card)
