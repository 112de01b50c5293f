"""Let an arm write the rest of its chains after tampered steps."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, parquet, prompts, regeneration

    spec = snakemake.params.spec
    model, keep = arms.load(
        snakemake.input.model,
        snakemake.input.get("arm"),
        spec,
        snakemake.config["compute"],
        snakemake.threads,
        shelf=snakemake.wildcards.eval_set,
    )
    sources = {"mistake": ("mistakes", parquet.MISTAKES), "prefix_paraphrase": ("paraphrases", parquet.PARAPHRASES)}
    rewritten = {
        test: parquet.read(snakemake.input.get(name), schema)
        for test, (name, schema) in sources.items()
        if snakemake.input.get(name)
    }
    with keep[0]:
        frame = regeneration.regenerations(
            model,
            keep,
            parquet.read(snakemake.input.questions, parquet.QUESTIONS),
            parquet.read(snakemake.input.chains, parquet.CHAINS),
            rewritten,
            prompts.read(snakemake.input.templates),
            spec["max_new_tokens"],
        )
    parquet.write(frame, snakemake.output[0], parquet.REGENERATIONS)
