"""Tamper with an arm's chains, at every k."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from pathlib import Path

    from tokenizers import Tokenizer

    from faithtune import interventions, parquet

    spec = snakemake.params.spec
    # The model's own tokenizer, without the seconds that importing transformers takes.
    tokenizer = Tokenizer.from_file(str(Path(job.read_json(snakemake.input.model)["path"], "tokenizer.json")))

    def read(name, schema):
        """The frame of an input that only some tests have."""
        path = snakemake.input.get(name)
        return parquet.read(path, schema) if path else None

    frame = interventions.build(
        parquet.read(snakemake.input.chains, parquet.CHAINS),
        read("paraphrases", parquet.PARAPHRASES),
        spec["tests"],
        spec["filler"],
        lambda text: len(tokenizer.encode(text, add_special_tokens=False)),
        read("regenerations", parquet.REGENERATIONS),
        spec["sweep"]["step"],
        spec["sweep"]["longest"],
    )
    parquet.write(frame, snakemake.output[0], parquet.INTERVENTIONS)
