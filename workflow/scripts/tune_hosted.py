"""Tune a model at its host on a data set's training questions."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import folders
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.training import HOSTED_TRAINING
    from faithtune.hosts import checks, host, session
    from faithtune.tuning import hosted

    spec, names = snakemake.params.spec, snakemake.wildcards
    api, settings = spec["backend"]["api"], snakemake.config["hosts"][names.model]
    ends = job.read_json(snakemake.input.host)["shutdown_date"]
    checks.check_shutdown(f"models.{names.model}.api", api["model"], ends)
    with session.ledger(settings, folders.STORE) as ledger:
        card, log = hosted.train(
            host.connect(names.model, api | settings),
            ledger,
            session.price(settings, api["model"], training=True),
            parquet.read(snakemake.input.questions, QUESTIONS),
            spec["templates"],
            spec["tuning"],
            folders.STORE / "tunings",
            arm=names.arm,
            count=session.most_tokens(api),
        )
    parquet.write(log, snakemake.output.training, HOSTED_TRAINING)
    job.write_json(card, snakemake.output.card)
