"""Check that an arm which was handed in is on: load it, and compare what it predicts with what its base predicts."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import functools
    import gc
    import sys

    from faithtune.arms import applied
    from faithtune.arms.open import open_local
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import prompts
    from faithtune.jobs import gpus
    from faithtune.models.backend import Query
    from faithtune.settings.compute import ComputeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, given, arm = snakemake.params.spec, snakemake.input, snakemake.wildcards.arm
    compute, of_base = ComputeSettings(**snakemake.config["compute"]), {name: given[name] for name in spec["base"]}

    def opened(cards):
        """The base, or the arm if the cards have it."""
        found, _ = open_local(spec["quantisation"], cards, compute, snakemake.threads)
        found.load = functools.cache(found.load)
        return found

    questions = parquet.read(given.questions, QUESTIONS).head(applied.ANSWERS)
    model, rows = opened(of_base), questions.to_dicts()

    def turns(form):
        """The user's turn of each question; form: of the templates."""
        return [prompts.user_turn(spec["templates"], form, row) for row in rows]

    bare = [model.render(turn, model.form.answer("")) for turn in turns("no_cot")]
    asked = [Query(prompt, len(row["options"])) for prompt, row in zip(bare, rows, strict=True)]
    start = model.form.start(forced=True)
    first = [model.render(turn, start) for turn in turns("cot")[: applied.QUESTIONS]]
    texts = applied.continue_greedily(model, first)
    before = applied.predict("base", model, texts, asked)
    del model
    gc.collect()  # one network at a time is in memory
    after = applied.predict(arm, opened(of_base | {"arm": given.arm}), texts, asked)
    found = applied.compare(arm, before, after) | {"questions": len(first), "eval_set": spec["eval_set"]}
    print(
        f"{arm} is on: at the start of {found['questions']} chains {round(found['changed'] * found['positions'])} of"
        f" {found['positions']} next tokens are others than the base's (log p differs by {found['mean']:.3g} on"
        f" average, {found['largest']:.3g} at most; KL {found['kl']:.3g} nats); without a chain"
        f" {found['answers_changed']} of {found['answers']} answers are others (their first token's probabilities"
        f" move by {found['answers_shift']:.3g} on average)",
        file=sys.stderr,
    )
    job.write_json(job.read_json(given.arm) | {"applied": found}, snakemake.output[0])
