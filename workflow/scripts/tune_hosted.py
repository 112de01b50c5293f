"""Tune a model at its host on a data set's training questions."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, guards, host, hosted, hosted_tuning, parquet

    spec, names = snakemake.params.spec, snakemake.wildcards
    api, settings = spec["api"], snakemake.config["hosts"][names.model]
    ends = job.read_json(snakemake.input.host)["shutdown_date"]
    guards.check_shutdown(f"models.{names.model}.api", api["model"], ends)
    with hosted.ledger(settings, arms.STORE) as ledger:
        card, log = hosted_tuning.train(
            host.connect(names.model, api | settings),
            ledger,
            hosted.price(settings, api["model"], training=True),
            parquet.read(snakemake.input.questions, parquet.QUESTIONS),
            spec["templates"],
            spec["tuning"],
            arms.STORE / "tunings",
            arm=names.arm,
            count=hosted.most_tokens(api),
        )
    parquet.write(log, snakemake.output.training, parquet.HOSTED_TRAINING)
    job.write_json(card, snakemake.output.card)
