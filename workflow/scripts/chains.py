"""Let an arm reason about each question."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import arms, chains, devices, parquet

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with arms.ready(spec["backend"], questions, how, cores, "chains", names, inputs) as (model, keep, blocks):
        frames = [
            chains.write(model, keep, block.questions, spec["templates"], spec["max_new_tokens"], spec["forced_start"])
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], parquet.CHAINS)
