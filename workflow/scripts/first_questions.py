"""Take the first questions of an evaluation set."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import splits

    questions = parquet.read(snakemake.input[0], QUESTIONS)
    parquet.write(splits.select(questions, int(snakemake.wildcards.n)), snakemake.output[0], QUESTIONS)
