"""Write down what was asked of hosts, and what it cost."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, parquet, spend

    parquet.write(spend.read(arms.STORE / "spend.sqlite"), snakemake.output[0], parquet.SPEND)
