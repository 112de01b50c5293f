"""Paraphrase each step of an arm's chains."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import PARAPHRASES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.interventions import paraphrases
    from faithtune.jobs import gpus
    from faithtune.settings.backend import Backend
    from faithtune.settings.interventions import ParaphraserSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, QUESTIONS)
    settings = ParaphraserSettings(**spec["paraphraser"])
    run, backend = StageRun("paraphrases", **snakemake.wildcards), Backend(**spec["backend"])
    with open_arm(backend, questions, run, inputs, snakemake.config, snakemake.threads) as (arm, blocks):
        written = parquet.read(inputs.chains, CHAINS)
        frames = [paraphrases.make_paraphrases(arm, block, written, spec["templates"], settings) for block in blocks]
    parquet.write(pl.concat(frames), snakemake.output[0], PARAPHRASES)
