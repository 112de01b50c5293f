"""Have an arm write a chain of thought for each question."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import chains
    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.jobs import gpus
    from faithtune.settings.backend import Backend
    from faithtune.settings.chains import ChainSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    settings = ChainSettings(**spec["chains"])
    questions = parquet.read(inputs.questions, QUESTIONS)
    run, backend = StageRun("chains", **snakemake.wildcards), Backend(**spec["backend"])
    with open_arm(backend, questions, run, inputs, snakemake.config, snakemake.threads) as (arm, blocks):
        frames = [chains.write(arm, block.questions, spec["templates"], settings) for block in blocks]
    parquet.write(pl.concat(frames), snakemake.output[0], CHAINS)
