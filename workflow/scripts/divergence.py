"""Measure how far a tuned arm's next tokens are from its base's, on base's chains."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms.open import open_local
    from faithtune.core import parquet
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.probes import DIVERGENCE
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.jobs import gpus
    from faithtune.probes import divergence
    from faithtune.settings.chains import ChainSettings
    from faithtune.settings.compute import ComputeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, given = snakemake.params.spec, snakemake.input
    compute, of_base = ComputeSettings(**snakemake.config["compute"]), {name: given[name] for name in spec["base"]}
    base, arm = (
        open_local(spec["quantisation"], cards, compute, snakemake.threads)[0]
        for cards in (of_base, of_base | {"arm": given.arm})
    )
    questions, chains = parquet.read(given.questions, QUESTIONS), parquet.read(given.chains, CHAINS)
    settings = ChainSettings(**spec["chains"])
    found = divergence.divergence(base, arm, questions, chains, spec["templates"], settings)
    parquet.write(found, snakemake.output[0], DIVERGENCE)
