"""Let an arm write the rest of its chains after tampered steps."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, devices, parquet, prompts, regeneration

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, parquet.QUESTIONS)
    sources = {"mistake": ("mistakes", parquet.MISTAKES), "prefix_paraphrase": ("paraphrases", parquet.PARAPHRASES)}
    rewritten = {
        test: parquet.read(inputs.get(name), schema) for test, (name, schema) in sources.items() if inputs.get(name)
    }
    names, how = snakemake.wildcards, snakemake.config
    with arms.ready(spec["backend"], questions, how, snakemake.threads, "regenerations", names, inputs) as (
        model,
        keep,
    ):
        frame = regeneration.regenerations(
            model,
            keep,
            questions,
            parquet.read(inputs.chains, parquet.CHAINS),
            rewritten,
            prompts.read(inputs.templates),
            spec["max_new_tokens"],
        )
    parquet.write(frame, snakemake.output[0], parquet.REGENERATIONS)
