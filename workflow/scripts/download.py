"""Download one file to results/downloads/."""

from faithtune.jobs import job

with job.logged(snakemake.log[0], hub=True):
    from pathlib import Path

    from faithtune.data import sources

    file = snakemake.params.spec["file"]
    sources.download(sources.Source(**file["source"]), file["checksum"], Path(snakemake.output[0]))
