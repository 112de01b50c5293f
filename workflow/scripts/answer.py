"""Tamper with an arm's chains, at every k, and let it answer after each intervention."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import answers, cached_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import INTERVENTIONS, PARAPHRASES, REGENERATIONS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.interventions import build
    from faithtune.jobs import gpus
    from faithtune.models import token_counts

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input

    def read(name, schema):
        """The frame of an input that only some tests have."""
        path = inputs.get(name)
        return parquet.read(path, schema) if path else None

    card = job.read_json(inputs.get("model"))
    questions, chains = read("questions", QUESTIONS), read("chains", CHAINS)
    tampered = build.build(
        chains,
        read("paraphrases", PARAPHRASES),
        spec["tests"],
        spec["filler"],
        token_counts.counter(spec["kind"], card["path"] if card else spec["tokenizer"]),
        read("regenerations", REGENERATIONS),
        spec["sweep"]["step"],
        spec["sweep"]["longest"],
    )
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with cached_arm.open_arm(spec["backend"], questions, how, cores, "answers", names, inputs) as (model, keep, blocks):
        parts = [
            (
                block.rows(tampered),
                answers.answer(
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
    asked, answered = (pl.concat(frames) for frames in zip(*parts, strict=True))
    parquet.write(asked, snakemake.output.interventions, INTERVENTIONS)
    parquet.write(answered, snakemake.output.answers, ANSWERS)
