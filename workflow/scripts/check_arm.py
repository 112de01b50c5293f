"""Check that an arm which was handed in is on: load it, and compare its next tokens with its base's."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import gc
    import sys

    from faithtune.arms import applied
    from faithtune.arms.open import open_local
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import prompts
    from faithtune.jobs import gpus
    from faithtune.settings.compute import ComputeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, given, arm = snakemake.params.spec, snakemake.input, snakemake.wildcards.arm
    compute, of_base = ComputeSettings(**snakemake.config["compute"]), {name: given[name] for name in spec["base"]}

    def opened(cards):
        """The base, or the arm if the cards have it."""
        return open_local(spec["quantisation"], cards, compute, snakemake.threads)[0]

    questions = parquet.read(given.questions, QUESTIONS).head(applied.QUESTIONS)
    model = opened(of_base)
    texts = applied.continue_greedily(
        model,
        [
            model.render(prompts.user_turn(spec["templates"], "cot", row), model.form.start(forced=True))
            for row in questions.to_dicts()
        ],
    )
    before = applied.log_probabilities(model.network, texts)
    del model
    gc.collect()  # one network at a time is in memory
    after = applied.log_probabilities(opened(of_base | {"arm": given.arm}).load().eval(), texts)
    found = applied.compare(arm, before, after)
    found |= {"questions": questions.height, "eval_set": spec["eval_set"]}
    print(
        f"{arm} is on: of {found['positions']} next tokens on {found['questions']} questions {found['changed']:.0%} are"
        f" others than the base's; log p differs by {found['mean']:.3g} on average, {found['largest']:.3g} at most; KL"
        f" {found['kl']:.3g} nats",
        file=sys.stderr,
    )
    job.write_json(job.read_json(given.arm) | {"applied": found}, snakemake.output[0])
