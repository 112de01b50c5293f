"""Let an arm answer after every intervention."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import answering, arms, parquet, prompts

    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with arms.ready(spec["backend"], questions, how, cores, "answers", names, inputs) as (model, keep, blocks):
        written = parquet.read(inputs.chains, parquet.CHAINS)
        tampered = parquet.read(inputs.interventions, parquet.INTERVENTIONS)
        templates = prompts.read(inputs.templates)
        frames = [
            answering.answer(
                model,
                keep,
                block.questions,
                block.rows(written),
                block.rows(tampered),
                templates,
                spec["max_new_tokens"],
                spec["min_option_mass"],
                max(0, spec["again"] - block.start),
                spec["shuffle"],
            )
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], parquet.ANSWERS)
