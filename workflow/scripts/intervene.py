"""Tamper with an arm's chains, at every k."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import interventions, parquet, tokens

    spec = snakemake.params.spec
    card = job.read_json(snakemake.input.get("model") or None)
    tokenizer = card["path"] if card else spec["tokenizer"]

    def read(name, schema):
        """The frame of an input that only some tests have."""
        path = snakemake.input.get(name)
        return parquet.read(path, schema) if path else None

    frame = interventions.build(
        parquet.read(snakemake.input.chains, parquet.CHAINS),
        read("paraphrases", parquet.PARAPHRASES),
        spec["tests"],
        spec["filler"],
        tokens.counter(spec["kind"], tokenizer),
        read("regenerations", parquet.REGENERATIONS),
        spec["sweep"]["step"],
        spec["sweep"]["longest"],
    )
    parquet.write(frame, snakemake.output[0], parquet.INTERVENTIONS)
