"""Hold a host to what the configuration says of it, before anything is asked."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, host, tokens

    api = arms.at_host(snakemake.params.spec, snakemake.input)
    settings = snakemake.config["hosts"][snakemake.wildcards.model]
    count = tokens.counter("api", api["tokenizer"]) if api["tokenizer"] else None
    job.write_json(host.check(host.connect(api["name"], api | settings), count), snakemake.output[0])
