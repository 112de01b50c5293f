"""Put a mistake into each step of an arm's chains."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, mistakes, parquet, prompts

    spec = snakemake.params.spec
    model, keep = arms.load(
        snakemake.input.model,
        snakemake.input.get("arm"),
        spec,
        snakemake.config["compute"],
        snakemake.threads,
        shelf="mistakes-{model}-{arm}-{eval_set}".format(**snakemake.wildcards),
    )
    with keep[0]:
        frame = mistakes.mistakes(
            model,
            keep,
            parquet.read(snakemake.input.questions, parquet.QUESTIONS),
            parquet.read(snakemake.input.chains, parquet.CHAINS),
            prompts.read(snakemake.input.templates),
            spec["max_new_tokens"],
            spec["shortest"],
            spec["longest"],
        )
    parquet.write(frame, snakemake.output[0], parquet.MISTAKES)
