"""Write a model as a folder of safetensors, with its card."""

from faithtune.jobs import job

with job.logged(snakemake.log[0], hub=True):
    from pathlib import Path

    from faithtune.data import turns
    from faithtune.models import weights

    spec, name = snakemake.params.spec, snakemake.wildcards.model
    downloaded = snakemake.input.get("source") or None
    folder = Path(snakemake.output.weights)
    chosen = job.read_json(snakemake.input.get("precision") or None)
    card = weights.prepare(spec["source"], downloaded, chosen and chosen["dtype"], folder, spec.get("checksum"))
    file = snakemake.config["chat_templates"][name]
    card |= turns.settle(folder, spec.get("turns", {}), f"models.{name}", file)
    job.write_json(card, snakemake.output.card)
