"""Lay out one table."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import ESTIMATES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.spend import SPEND
    from faithtune.data import prompts
    from faithtune.hosts.spend import summary
    from faithtune.measures import claims
    from faithtune.models import weights
    from faithtune.report.tables import published, setup, tables, write
    from faithtune.report.tables.cells import TableContext

    spec, given, name = snakemake.params.spec, snakemake.input, snakemake.wildcards.table
    cards = dict(zip(spec["models"], map(job.read_json, given.get("models", [])), strict=False))
    study = TableContext(spec["arms"], weights.sizes(spec["parameters"], cards), spec["confidence"], spec["turns"])
    fixed = {"chain start": prompts.CHAIN_START, "answer cue": prompts.CUE, "filler": spec["filler"]}
    sources = {
        "estimates": lambda: parquet.read(given.estimates, ESTIMATES),
        "published": lambda: published.compare(sources["estimates"](), spec["published"], spec["arms"]),
        "claims": lambda: parquet.read(given.claims, claims.CLAIMS),
        "data": lambda: setup.data(spec["data"], [parquet.read(path, QUESTIONS) for path in given.questions]),
        "hyper_parameters": lambda: setup.hyper_parameters(spec["tuned"], [job.read_json(path) for path in given.arms]),
        "prompts": lambda: setup.prompts(spec["templates"] | fixed),
        "spend": lambda: summary.with_totals([parquet.read(path, SPEND) for path in given.get("spend", [])]),
    }
    rows = tables.select(sources[tables.table(name).source](), name, study)
    write.write(rows, name, list(snakemake.output), study, job.read_json(given.provenance))
