"""Let an arm reason about each question."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, chains, devices, parquet, prompts

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    names, how = snakemake.wildcards, snakemake.config
    with arms.ready(spec["backend"], questions, how, snakemake.threads, "chains", names, inputs) as (model, keep):
        frame = chains.write(
            model, keep, questions, prompts.read(inputs.templates), spec["max_new_tokens"], spec["forced_start"]
        )
    parquet.write(frame, snakemake.output[0], parquet.CHAINS)
