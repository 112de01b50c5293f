"""Ask an arm at a host for its first rows, and check that a tuned arm's differ from its base's."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import sys

    from faithtune.arms import chains, first_rows, identity
    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.settings.backend import Backend
    from faithtune.settings.chains import ChainSettings

    spec, inputs, names = snakemake.params.spec, snakemake.input, snakemake.wildcards
    questions, backend = parquet.read(inputs.questions, QUESTIONS), Backend(**spec["backend"])

    def opened(stage):
        """The arm with the rows of a stage, whose calls the ledger names by it."""
        run = StageRun(stage, names.model, names.arm, spec["eval_set"])
        return open_arm(backend, questions, run, inputs, snakemake.config, snakemake.threads)

    with opened("chains") as (arm, _):
        asked = questions.head(first_rows.CHAINS)
        written = chains.write(arm, asked, spec["templates"], ChainSettings(**spec["chains"]))["text"]
    with opened("answers") as (arm, _):
        answered = first_rows.answer(arm, questions.head(first_rows.ANSWERS), spec["templates"], **spec["answers"])
    tokens, numbers = [], first_rows.numbers(questions, backend.api.abilities)
    if not numbers.is_empty():
        with opened("check") as (arm, _):
            tokens = first_rows.tokens(arm, numbers, spec["templates"])
    own = first_rows.contents(written, answered, tokens)
    if base := job.read_json(inputs.get("base")):
        # A checkpoint may be asked fewer questions than base.
        base = {name: base[name][: len(rows)] for name, rows in own.items()}
        where, host_model = f"models.{names.model}: {names.arm}", identity.hosted_model(backend, inputs).model
        found = first_rows.compare(where, host_model, own, base)
        shift = "" if found["answers_shift"] is None else f", by {found['answers_shift']:.3g} in total variation"
        print(
            f"{names.arm} is another model than base: {found['chains_changed']} of {found['chains']} chains and"
            f" {found['answers_changed']} of {found['answers']} answers without a chain are others{shift}",
            file=sys.stderr,
        )
        own |= {"applied": found}
    job.write_json(own | {"eval_set": spec["eval_set"]}, snakemake.output[0])
