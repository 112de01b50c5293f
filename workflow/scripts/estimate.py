"""Forecast the calls to hosts and their cost, and print the forecast; no host is asked."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms import folders
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.spend import FORECAST
    from faithtune.hosts.spend import ledger, prices
    from faithtune.settings.configuration import Configuration
    from faithtune.study.forecast import forecast, text

    spec, given = snakemake.params.spec, snakemake.input
    study = Configuration.model_validate(spec["configuration"])
    frames = [parquet.read(path, QUESTIONS) for path in given.questions]
    questions = dict(zip(spec["questions"], frames, strict=True))
    table = prices.load(study.prices)
    rows = forecast.rows(study, questions, spec["templates"], table)
    frame = pl.DataFrame(rows, schema=FORECAST)
    parquet.write(frame, snakemake.output[0], FORECAST)
    page = text.text(frame, ledger.read(folders.STORE / "spend.sqlite"), study.budget_usd, table)
    print(page)
print(page)
