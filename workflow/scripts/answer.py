"""Build the interventions on an arm's chains and ask the arm for its answer after each."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import answers
    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import INTERVENTIONS, PARAPHRASES, REGENERATIONS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.interventions import build
    from faithtune.jobs import gpus
    from faithtune.models import token_counts
    from faithtune.settings.answers import AnswerSettings
    from faithtune.settings.backend import Backend
    from faithtune.settings.interventions import InterventionSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    tampering, settings = InterventionSettings(**spec["interventions"]), AnswerSettings(**spec["answers"])

    def read(name, schema):
        """The frame of an input; None if the study's tests do not need it."""
        path = inputs.get(name)
        return parquet.read(path, schema) if path else None

    card = job.read_json(inputs.get("model"))
    questions, chains = read("questions", QUESTIONS), read("chains", CHAINS)
    run, backend = StageRun("answers", **snakemake.wildcards), Backend(**spec["backend"])
    with open_arm(backend, questions, run, inputs, snakemake.config, snakemake.threads) as (arm, blocks):
        count = token_counts.token_counter(
            spec["counts"]["kind"], card["path"] if card else spec["counts"]["tokenizer"]
        )
        rewritten = read("paraphrases", PARAPHRASES), read("regenerations", REGENERATIONS)
        tampered = build.build(chains, tampering, count, *rewritten, arm.model.form)
        parts = [
            (block.rows(tampered), answers.answer(arm, block, chains, tampered, spec["templates"], settings))
            for block in blocks
        ]
    asked, answered = (pl.concat(frames) for frames in zip(*parts, strict=True))
    parquet.write(asked, snakemake.output.interventions, INTERVENTIONS)
    parquet.write(answered, snakemake.output.answers, ANSWERS)
