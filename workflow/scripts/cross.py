"""Ask an arm for its answers after the chains that another arm wrote, whole and tampered with."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import answers
    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import INTERVENTIONS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.jobs import gpus
    from faithtune.measures.generalisation import crossing
    from faithtune.settings.answers import AnswerSettings
    from faithtune.settings.backend import Backend

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    settings, backend = AnswerSettings(**spec["answers"]), Backend(**spec["backend"])
    questions, chains = parquet.read(inputs.questions, QUESTIONS), parquet.read(inputs.chains, CHAINS)
    read = parquet.read(inputs.interventions, INTERVENTIONS).filter(pl.col("test").is_in(["full", *crossing.TESTS]))
    run = StageRun("crossed", **snakemake.wildcards)
    with open_arm(backend, questions, run, inputs, snakemake.config, snakemake.threads) as (arm, blocks):
        frames = [answers.answer(arm, block, chains, read, spec["templates"], settings) for block in blocks]
    parquet.write(pl.concat(frames), snakemake.output[0], ANSWERS)
