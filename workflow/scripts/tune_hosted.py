"""Tune a model at its host on a data set's training questions."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import folders
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.training import HOSTED_TRAINING
    from faithtune.hosts import billing, host, session
    from faithtune.tuning import hosted

    spec, names = snakemake.params.spec, snakemake.wildcards
    api, settings = spec["backend"]["api"], snakemake.config["hosts"][names.model]
    with session.open_ledger(settings, folders.STORE) as ledger:
        meter = billing.Meter(
            host.connect(names.model, api | settings),
            ledger,
            session.price(settings, api["model"], training=True),
            arm=names.arm,
            eval_set=None,
            stage="tune",
            count_tokens=session.token_upper_bound(api),
        )
        questions = parquet.read(snakemake.input.questions, QUESTIONS)
        records = folders.STORE / "tunings"
        card, log = hosted.train(meter, questions, spec["templates"], spec["tuning"], records)
    parquet.write(log, snakemake.output.training, HOSTED_TRAINING)
    job.write_json(card, snakemake.output.card)
