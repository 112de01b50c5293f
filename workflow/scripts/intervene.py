"""Tamper with an arm's chains, at every k."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from pathlib import Path

    from tokenizers import Tokenizer

    from faithtune import interventions, parquet

    spec = snakemake.params.spec
    # The model's own tokenizer, without the seconds that importing transformers takes.
    tokenizer = Tokenizer.from_file(str(Path(job.read_json(snakemake.input.model)["path"], "tokenizer.json")))
    paraphrases = snakemake.input.get("paraphrases")
    frame = interventions.build(
        parquet.read(snakemake.input.chains, parquet.CHAINS),
        parquet.read(paraphrases, parquet.PARAPHRASES) if paraphrases else None,
        spec["tests"],
        spec["filler"],
        lambda text: len(tokenizer.encode(text, add_special_tokens=False)),
    )
    parquet.write(frame, snakemake.output[0], parquet.INTERVENTIONS)
