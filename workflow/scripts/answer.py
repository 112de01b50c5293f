"""Tamper with an arm's chains, at every k, and let it answer after each intervention."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import answering, arms, devices, interventions, parquet, tokens

    devices.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input

    def read(name, schema):
        """The frame of an input that only some tests have."""
        path = inputs.get(name)
        return parquet.read(path, schema) if path else None

    card = job.read_json(inputs.get("model"))
    questions, chains = read("questions", parquet.QUESTIONS), read("chains", parquet.CHAINS)
    tampered = interventions.build(
        chains,
        read("paraphrases", parquet.PARAPHRASES),
        spec["tests"],
        spec["filler"],
        tokens.counter(spec["kind"], card["path"] if card else spec["tokenizer"]),
        read("regenerations", parquet.REGENERATIONS),
        spec["sweep"]["step"],
        spec["sweep"]["longest"],
    )
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with arms.ready(spec["backend"], questions, how, cores, "answers", names, inputs) as (model, keep, blocks):
        parts = [
            (
                block.rows(tampered),
                answering.answer(
                    model,
                    keep,
                    block.questions,
                    block.rows(chains),
                    block.rows(tampered),
                    spec["templates"],
                    spec["max_new_tokens"],
                    spec["min_option_mass"],
                    max(0, spec["again"] - block.start),
                    spec["shuffle"],
                ),
            )
            for block in blocks
        ]
    asked, answers = (pl.concat(frames) for frames in zip(*parts, strict=True))
    parquet.write(asked, snakemake.output.interventions, parquet.INTERVENTIONS)
    parquet.write(answers, snakemake.output.answers, parquet.ANSWERS)
