"""Let an arm answer after every intervention."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import answering, arms, devices, parquet, prompts

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    names, how = snakemake.wildcards, snakemake.config
    with arms.ready(spec["backend"], questions, how, snakemake.threads, "answers", names, inputs) as (model, keep):
        frame = answering.answer(
            model,
            keep,
            questions,
            parquet.read(inputs.chains, parquet.CHAINS),
            parquet.read(inputs.interventions, parquet.INTERVENTIONS),
            prompts.read(inputs.templates),
            spec["max_new_tokens"],
            spec["min_option_mass"],
            spec["again"],
            spec["shuffle"],
        )
    parquet.write(frame, snakemake.output[0], parquet.ANSWERS)
