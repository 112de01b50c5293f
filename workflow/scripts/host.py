"""Check a host against the configuration before any question is asked."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import identity
    from faithtune.hosts import host
    from faithtune.models import token_counts
    from faithtune.settings.backend import Backend
    from faithtune.settings.hosts import HostSettings

    hosted = identity.hosted_model(Backend(**snakemake.params.spec["backend"]), snakemake.input)
    settings = HostSettings(**snakemake.config["hosts"][hosted.name])
    count = token_counts.token_counter("api", hosted.tokenizer) if hosted.tokenizer else None
    job.write_json(host.check(host.connect(hosted, settings), count), snakemake.output[0])
