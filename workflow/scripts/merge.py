"""Write a tuned arm's weights, adapter and base in one, as a model from which another tuning starts."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from pathlib import Path

    import torch

    from faithtune.tuning import merge

    torch.set_num_threads(1)  # sums do not depend on the machine's number of cores
    given, spec = snakemake.input, snakemake.params.spec
    dtype = job.read_json(given.precision)["dtype"]
    base, arm = job.read_json(given.model), job.read_json(given.arm)
    card = merge.merge(base, arm, spec["arm"], spec["quantisation"], dtype, Path(snakemake.output.weights))
    job.write_json(card, snakemake.output.card)
