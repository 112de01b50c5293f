"""The command that serves a model and its adapters, each under the name by which its arm is asked."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import arms, models, parquet, serving

    spec, model = snakemake.params.spec, job.read_json(snakemake.input.model)
    cards = {path: job.read_json(path) for path in snakemake.input.arms}
    for card in (model, *cards.values()):
        models.hold_to_card(card)
    names = {path: arms.served_name(snakemake.wildcards.model, spec, model, card) for path, card in cards.items()}
    base = arms.served_name(snakemake.wildcards.model, spec, model, None)
    text = serving.command(base, model["path"], spec, {names[path]: cards[path] for path in cards})
    with parquet.atomic_path(snakemake.output[0]) as temporary:
        temporary.write_text(text, encoding="utf-8")
