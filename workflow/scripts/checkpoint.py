"""Give a state of a training on the way the card of an arm."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    card = job.read_json(f"{snakemake.input[0]}/{snakemake.wildcards.place}.json")
    job.write_json(card, snakemake.output[0])
