"""Write the command that serves a model and its adapters, each under its arm's name."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import identity
    from faithtune.core import parquet
    from faithtune.hosts import vllm
    from faithtune.models import weights

    model, quantisation = job.read_json(snakemake.input.model), snakemake.params.spec["quantisation"]
    dtype = job.read_json(snakemake.input.precision)["dtype"]
    cards = {path: job.read_json(path) for path in snakemake.input.arms}
    for card in (model, *cards.values()):
        weights.verify_weights(card)
    known = snakemake.wildcards.model, quantisation, dtype, model
    names = {path: identity.served_name(*known, card) for path, card in cards.items()}
    adapters = {names[path]: cards[path] for path in cards}
    text = vllm.command(identity.served_name(*known, None), model["path"], quantisation, dtype, adapters)
    with parquet.atomic_path(snakemake.output[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
