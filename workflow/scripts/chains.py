"""Let an arm reason about each question."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, chains, parquet, prompts

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
        frame = chains.write(
            model,
            keep,
            parquet.read(snakemake.input.questions, parquet.QUESTIONS),
            prompts.read(snakemake.input.templates),
            spec["max_new_tokens"],
            spec["forced_start"],
        )
    parquet.write(frame, snakemake.output[0], parquet.CHAINS)
