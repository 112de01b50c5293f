"""Put a mistake into each step of an arm's chains."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, devices, mistakes, parquet, prompts

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    names, how = snakemake.wildcards, snakemake.config
    with arms.ready(spec["backend"], questions, how, snakemake.threads, "mistakes", names, inputs) as (model, keep):
        frame = mistakes.mistakes(
            model,
            keep,
            questions,
            parquet.read(inputs.chains, parquet.CHAINS),
            prompts.read(inputs.templates),
            spec["max_new_tokens"],
            spec["shortest"],
            spec["longest"],
        )
    parquet.write(frame, snakemake.output[0], parquet.MISTAKES)
