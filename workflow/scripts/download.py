"""Fetch one file: `results/downloads/FILE`."""

from faithtune.jobs import job

with job.logged(snakemake.log[0], hub=True):
    from pathlib import Path

    from faithtune.data import sources

    spec = snakemake.params.spec
    sources.download(sources.Source(**spec["source"]), spec["checksum"], Path(snakemake.output[0]))
