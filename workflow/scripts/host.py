"""Hold a host to what the configuration says of it, before anything is asked."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import host, hosted, tokens

    spec = snakemake.params.spec
    model, settings = snakemake.wildcards.model, snakemake.config["hosts"][snakemake.wildcards.model]
    count = tokens.counter("api", spec["tokenizer"]) if spec["tokenizer"] else None
    job.write_json(host.check(hosted.of(spec, settings), count), snakemake.output[0])
