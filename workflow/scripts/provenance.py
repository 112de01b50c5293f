"""Record where the results come from."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.jobs import provenance

    spec, given = snakemake.params.spec, snakemake.input
    cards = {
        kind: {name: job.read_json(path) for name, path in zip(spec[kind], given[kind], strict=True)}
        for kind in ("models", "arms", "hosts")
    }
    found = provenance.collect(
        # Without the number of shards, which changes no result, not even by rounding.
        spec["configuration"] | {"compute": {k: v for k, v in snakemake.config["compute"].items() if k != "shards"}},
        dict(zip(spec["questions"], given.questions, strict=True)),
        spec["templates"],
        provenance.Cards(**cards, precision=job.read_json(next(iter(given.precision), None))),
        dict(zip(spec["imported"], given.imported, strict=True)),
        spec["published"],
    )
    job.write_json(found, snakemake.output[0])
