"""Let an arm write the rest of its chains after tampered steps."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import arms, devices, parquet, regeneration

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    sources = {"mistake": ("mistakes", parquet.MISTAKES), "prefix_paraphrase": ("paraphrases", parquet.PARAPHRASES)}
    rewritten = {
        test: parquet.read(inputs.get(name), schema) for test, (name, schema) in sources.items() if inputs.get(name)
    }
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with arms.ready(spec["backend"], questions, how, cores, "regenerations", names, inputs) as (model, keep, blocks):
        written = parquet.read(inputs.chains, parquet.CHAINS)
        frames = [
            regeneration.regenerations(
                model,
                keep,
                block.questions,
                block.rows(written),
                {test: block.rows(frame) for test, frame in rewritten.items()},
                spec["templates"],
                spec["max_new_tokens"],
            )
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], parquet.REGENERATIONS)
