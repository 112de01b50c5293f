"""Have an arm regenerate the rest of its chains after tampered steps."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES, REGENERATIONS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.interventions import regeneration
    from faithtune.interventions.registry import REGENERATED, TESTS
    from faithtune.jobs import gpus
    from faithtune.settings.backend import Backend

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    questions = parquet.read(inputs.questions, QUESTIONS)
    schemas = {"paraphrases": PARAPHRASES, "mistakes": MISTAKES}
    stages = {test: TESTS[test].rewritten_by for test in REGENERATED}
    rewritten = {
        test: parquet.read(inputs.get(stage), schemas[stage]) for test, stage in stages.items() if inputs.get(stage)
    }
    run, backend = StageRun("regenerations", **snakemake.wildcards), Backend(**spec["backend"])
    with open_arm(backend, questions, run, inputs, snakemake.config, snakemake.threads) as (arm, blocks):
        written = parquet.read(inputs.chains, CHAINS)
        frames = [
            regeneration.regenerate(arm, block, written, rewritten, spec["templates"], spec["max_new_tokens"])
            for block in blocks
        ]
    parquet.write(pl.concat(frames), snakemake.output[0], REGENERATIONS)
