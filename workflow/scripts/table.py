"""Lay out one table."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import about, claims, models, parquet, prompts, published, spend_table, table_files, tables
    from faithtune.table_cells import Study

    spec, given, name = snakemake.params.spec, snakemake.input, snakemake.wildcards.table
    cards = dict(zip(spec["models"], map(job.read_json, given.get("models", [])), strict=False))
    study = Study(spec["arms"], models.sizes(spec["parameters"], cards), spec["confidence"], spec["turns"])
    fixed = {"chain start": prompts.CHAIN_START, "answer cue": prompts.CUE, "filler": spec["filler"]}
    sources = {
        "estimates": lambda: parquet.read(given.estimates, parquet.ESTIMATES),
        "published": lambda: published.compare(sources["estimates"](), spec["published"], spec["arms"]),
        "claims": lambda: parquet.read(given.claims, claims.CLAIMS),
        "data": lambda: about.data(spec["data"], [parquet.read(path, parquet.QUESTIONS) for path in given.questions]),
        "hyper_parameters": lambda: about.hyper_parameters(spec["tuned"], [job.read_json(path) for path in given.arms]),
        "prompts": lambda: about.prompts(spec["templates"] | fixed),
        "spend": lambda: spend_table.with_totals(
            [parquet.read(path, parquet.SPEND) for path in given.get("spend", [])]
        ),
    }
    rows = tables.select(sources[tables.table(name).source](), name, study)
    table_files.write(rows, name, list(snakemake.output), study, job.read_json(given.provenance))
