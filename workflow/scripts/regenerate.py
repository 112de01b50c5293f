"""Let an arm write the rest of its chains after tampered steps."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import cached_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES, REGENERATIONS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.interventions import regeneration
    from faithtune.interventions.registry import REGENERATED, TESTS
    from faithtune.jobs import gpus

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, QUESTIONS)
    schemas = {"paraphrases": PARAPHRASES, "mistakes": MISTAKES}
    stages = {test: TESTS[test].rewritten_by for test in REGENERATED}
    rewritten = {
        test: parquet.read(inputs.get(stage), schemas[stage]) for test, stage in stages.items() if inputs.get(stage)
    }
    names, how, cores = snakemake.wildcards, snakemake.config, snakemake.threads
    with cached_arm.open_arm(spec["backend"], questions, how, cores, "regenerations", names, inputs) as (
        model,
        keep,
        blocks,
    ):
        written = parquet.read(inputs.chains, CHAINS)
        frames = [
            regeneration.regenerations(
                model,
                keep,
                block.questions,
                block.rows(written),
                {test: block.rows(frame) for test, frame in rewritten.items()},
                spec["templates"],
                spec["max_new_tokens"],
            )
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], REGENERATIONS)
