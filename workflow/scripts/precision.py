"""Choose the floating-point type of a study, on a machine that runs its models."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import errors
    from faithtune.jobs import gpus
    from faithtune.models import precision

    gpus.claim(snakemake.resources.gpu)
    device = precision.present_device(precision.device_kind(snakemake.config["compute"]["device"]))
    chosen = precision.choose(snakemake.params.dtype, device)
    precision.warn_cost(chosen, device)
    if device.kind == "cuda":  # for a CPU the run prints it at its start
        print(f"Computing in {precision.describe(chosen)}.", file=errors.terminal)
    job.write_json(chosen, snakemake.output[0])
