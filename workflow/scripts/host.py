"""Check a host against the configuration before any question is asked."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import identity
    from faithtune.hosts import host
    from faithtune.models import token_counts

    api = identity.hosted_section(snakemake.params.spec["backend"], snakemake.input)
    settings = snakemake.config["hosts"][snakemake.wildcards.model]
    count = token_counts.counter("api", api["tokenizer"]) if api["tokenizer"] else None
    job.write_json(host.check(host.connect(api["name"], api | settings), count), snakemake.output[0])
