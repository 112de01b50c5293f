"""Let an arm reason about each question."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import cached_arm, chains
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.jobs import gpus
    from faithtune.settings.chains import ChainSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    settings = ChainSettings(**spec["chains"])
    questions = parquet.read(inputs.questions, QUESTIONS)
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with cached_arm.open_arm(spec["backend"], questions, how, cores, "chains", names, inputs) as (model, keep, blocks):
        frames = [
            chains.write(
                model, keep, block.questions, spec["templates"], settings.max_new_tokens, settings.forced_start
            )
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], CHAINS)
