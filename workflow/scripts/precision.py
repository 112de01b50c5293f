"""Choose the type that a study computes in, on a machine that asks its models."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import devices, errors, precision

    devices.claim(snakemake.resources.gpu)
    device = precision.present(precision.device_kind(snakemake.config["compute"]["device"]))
    chosen = precision.choose(snakemake.params.dtype, device)
    if line := precision.cost(chosen, device):
        errors.warn(line)
    job.write_json(chosen, snakemake.output[0])
