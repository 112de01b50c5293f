"""Put the questions of an evaluation set into another form."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import shifts

    questions = parquet.read(snakemake.input[0], QUESTIONS)
    if snakemake.params.spec["options"]:
        questions = shifts.with_shuffled_options(questions, snakemake.wildcards.shift)
    parquet.write(questions, snakemake.output[0], QUESTIONS)
