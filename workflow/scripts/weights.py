"""Measure how far a tuning moved an arm's weights, by module and layer."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import polars as pl

    from faithtune.arms.open import open_local
    from faithtune.core import parquet
    from faithtune.core.schemas.probes import PROBES
    from faithtune.jobs import gpus
    from faithtune.probes import weights
    from faithtune.settings.compute import ComputeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    compute = ComputeSettings(**snakemake.config["compute"])

    # Whole weights are compared as their files hold them: 4-bit codes have no difference.
    whole = job.read_json(inputs.arm)["adapter"] == "full"

    def network(*names):
        """The network of the cards of these names, its weights as they are in their file."""
        cards = {name: inputs[name] for name in names}
        quantisation = "none" if whole else spec["quantisation"]
        return open_local(quantisation, cards, compute, snakemake.threads, open_adapter=True)[0].load()

    rows = weights.weight_changes(network("model", "precision", "arm"), lambda: network("model", "precision"))
    parquet.write(pl.DataFrame(rows, schema=PROBES), snakemake.output[0], PROBES)
