"""Give a state that a host keeps of its training the card of an arm."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.tuning import hosted_states

    names = snakemake.wildcards
    card = hosted_states.state_card(job.read_json(snakemake.input[0]), names.arm, int(names.place))
    job.write_json(card, snakemake.output[0])
