"""Hold a host to what the configuration says of it, before anything is asked."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import cached_arm
    from faithtune.hosts import host
    from faithtune.models import token_counts

    api = cached_arm.at_host(snakemake.params.spec["backend"], snakemake.input)
    settings = snakemake.config["hosts"][snakemake.wildcards.model]
    count = token_counts.counter("api", api["tokenizer"]) if api["tokenizer"] else None
    job.write_json(host.check(host.connect(api["name"], api | settings), count), snakemake.output[0])
