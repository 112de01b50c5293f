"""Tune a model at its host on the training questions of its data sets."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import folders
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.training import HOSTED_TRAINING
    from faithtune.hosts import billing, host, session
    from faithtune.settings.backend import Backend
    from faithtune.settings.data import TrainingData
    from faithtune.settings.hosts import HostSettings
    from faithtune.settings.tunings import HostedTraining
    from faithtune.tuning import hosted, mixing

    spec, names = snakemake.params.spec, snakemake.wildcards
    model, settings = Backend(**spec["backend"]).api, HostSettings(**snakemake.config["hosts"][names.model])
    with session.open_ledger(settings, folders.STORE) as ledger:
        meter = billing.Meter(
            host.connect(model, settings),
            ledger,
            session.price(settings, model.model, training=True),
            arm=names.arm,
            eval_set=None,
            stage="tune",
            count_tokens=session.token_upper_bound(model),
        )
        data = TrainingData(**spec["data"])
        parts = (parquet.read(path, QUESTIONS) for path in snakemake.input.questions)
        questions = mixing.training_questions(parts, data)
        records = folders.STORE / "tunings"
        card, log = hosted.train(meter, questions, spec["templates"], HostedTraining(**spec["tuning"]), records)
    parquet.write(log, snakemake.output.training, HOSTED_TRAINING)
    job.write_json(card | mixing.describe(questions, data), snakemake.output.card)
