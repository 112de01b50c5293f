"""Have a model draw chains of thought for the training questions of a data set."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms.sampling import samples
    from faithtune.arms.sampling.open import SampleRun, open_sampler
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.samples import SAMPLES
    from faithtune.jobs import gpus
    from faithtune.settings.chains import ChainSettings, SamplingSettings
    from faithtune.settings.compute import ComputeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs, names = snakemake.params.spec, snakemake.input, snakemake.wildcards
    settings, how = ChainSettings(**spec["chains"]), SamplingSettings(**spec["sampling"])
    compute, made = ComputeSettings(**snakemake.config["compute"]), snakemake.config["sampled"]
    questions = parquet.read(inputs.questions, QUESTIONS).sort("id").slice(0, spec["n"])  # as trainings take them
    run = SampleRun(names.data_set, names.draws, how)
    about = (run, made[f"{names.model}/{names.data_set}"], inputs, compute, snakemake.threads)
    with open_sampler(spec["quantisation"], questions, *about) as (arm, blocks):
        frames = [samples.draw(arm, block.questions, spec["templates"], settings, how) for block in blocks]
    parquet.write(pl.concat(frames), snakemake.output[0], SAMPLES)
