"""Export the spend ledger: the calls to hosts and their cost."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import folders
    from faithtune.core import parquet
    from faithtune.core.schemas.spend import SPEND
    from faithtune.hosts.spend import ledger

    parquet.write(ledger.read(folders.STORE / "spend.sqlite"), snakemake.output[0], SPEND)
