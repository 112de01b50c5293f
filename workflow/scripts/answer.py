"""Let an arm answer after every intervention."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import answering, arms, parquet, prompts

    spec = snakemake.params.spec
    model, keep = arms.load(
        snakemake.input.model,
        snakemake.input.get("arm"),
        spec,
        snakemake.config["compute"],
        snakemake.threads,
        shelf=snakemake.wildcards.eval_set,
    )
    with keep[0]:
        frame = answering.answer(
            model,
            keep,
            parquet.read(snakemake.input.questions, parquet.QUESTIONS),
            parquet.read(snakemake.input.chains, parquet.CHAINS),
            parquet.read(snakemake.input.interventions, parquet.INTERVENTIONS),
            prompts.read(snakemake.input.templates),
            spec["max_new_tokens"],
            spec["min_option_mass"],
            spec["again"],
        )
    parquet.write(frame, snakemake.output[0], parquet.ANSWERS)
