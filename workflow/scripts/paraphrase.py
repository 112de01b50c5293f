"""Put each step of an arm's chains in other words."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import arms, devices, paraphrasing, parquet

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with arms.ready(spec["backend"], questions, how, cores, "paraphrases", names, inputs) as (model, keep, blocks):
        written = parquet.read(inputs.chains, parquet.CHAINS)
        settings = [spec[key] for key in ("templates", "max_new_tokens", "shortest", "longest")]
        frames = [
            paraphrasing.paraphrases(model, block.apart(keep), block.questions, block.rows(written), *settings)
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], parquet.PARAPHRASES)
