"""Put a mistake into each step of an arm's chains."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import cached_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import MISTAKES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.interventions import mistakes
    from faithtune.jobs import gpus
    from faithtune.settings.paraphraser import ParaphraserSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, QUESTIONS)
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with cached_arm.open_arm(spec["backend"], questions, how, cores, "mistakes", names, inputs) as (
        model,
        keep,
        blocks,
    ):
        written = parquet.read(inputs.chains, CHAINS)
        limits = ParaphraserSettings(**spec["paraphraser"])
        settings = spec["templates"], limits.max_new_tokens, limits.shortest, limits.longest
        frames = [
            mistakes.mistakes(model, block.apart(keep), block.questions, block.rows(written), *settings)
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], MISTAKES)
