"""Choose the type that a study computes in, on a machine that asks its models."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import devices, errors, precision

    devices.claim(snakemake.resources.gpu)
    device = precision.present(precision.device_kind(snakemake.config["compute"]["device"]))
    chosen = precision.choose(snakemake.params.dtype, device)
    precision.tell_cost(chosen, device)
    if device.kind == "cuda":  # of a CPU the run says it at its start
        print(f"Computing in {precision.describe(chosen)}.", file=errors.terminal)
    job.write_json(chosen, snakemake.output[0])
