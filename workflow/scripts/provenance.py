"""Write down where the results come from."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.jobs import provenance

    spec, given = snakemake.params.spec, snakemake.input
    found = provenance.collect(
        # How many jobs share a set decides nothing, not even by rounding.
        spec["configuration"] | {"compute": {k: v for k, v in snakemake.config["compute"].items() if k != "shards"}},
        dict(zip(spec["questions"], given.questions, strict=True)),
        spec["templates"],
        {name: job.read_json(path) for name, path in zip(spec["models"], given.models, strict=True)},
        {name: job.read_json(path) for name, path in zip(spec["arms"], given.arms, strict=True)},
        {name: job.read_json(path) for name, path in zip(spec["hosts"], given.hosts, strict=True)},
        dict(zip(spec["imported"], given.imported, strict=True)),
        spec["published"],
        job.read_json(next(iter(given.precision), None)),
    )
    job.write_json(found, snakemake.output[0])
