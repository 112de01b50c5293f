"""Print what the study will ask of hosts and what that costs; nothing is asked."""

from faithtune import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune import arms, forecast_study, forecast_text, parquet, prices, spend

    spec, given = snakemake.params.spec, snakemake.input
    study = spec["configuration"]
    frames = [parquet.read(path, parquet.QUESTIONS) for path in given.questions]
    questions = dict(zip(spec["questions"], frames, strict=True))
    table = prices.load(study["prices"])
    rows = forecast_study.rows(study, questions, spec["templates"], table)
    frame = pl.DataFrame(rows, schema=parquet.FORECAST)
    parquet.write(frame, snakemake.output[0], parquet.FORECAST)
    page = forecast_text.text(frame, spend.read(arms.STORE / "spend.sqlite"), study["budget_usd"], table)
    print(page)
print(page)
