"""Join the shards of one file of a stage."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import blocks
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import INTERVENTIONS, MISTAKES, PARAPHRASES, REGENERATIONS
    from faithtune.core.schemas.questions import QUESTIONS

    stage, inputs = snakemake.wildcards.stage, snakemake.input
    schema = {
        "chains": CHAINS,
        "paraphrases": PARAPHRASES,
        "mistakes": MISTAKES,
        "regenerations": REGENERATIONS,
        "interventions": INTERVENTIONS,
        "answers": ANSWERS,
    }[stage]
    frame = blocks.joined(
        [parquet.read(path, schema) for path in inputs.shards],
        parquet.read(inputs.questions, QUESTIONS),
        every=stage in ("chains", "interventions", "answers"),
    )
    parquet.write(frame, snakemake.output[0], schema)
