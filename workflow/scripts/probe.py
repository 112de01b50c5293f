"""Look inside an arm: what its answers need to see, where they are decided, and how far it is from base."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms.folders import StageRun
    from faithtune.arms.open import open_arm, open_local
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.probes import PROBES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.jobs import gpus
    from faithtune.probes.probe import How, Side, probe
    from faithtune.settings.answers import AnswerSettings
    from faithtune.settings.backend import Backend
    from faithtune.settings.chains import ChainSettings
    from faithtune.settings.compute import ComputeSettings
    from faithtune.settings.optional import ProbeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs, config = snakemake.params.spec, snakemake.input, snakemake.config
    backend, settings = Backend(**spec["backend"]), ProbeSettings(**spec["probes"])
    questions = parquet.read(inputs.questions, QUESTIONS)
    questions = questions.head(settings.n or questions.height)
    how = How(
        spec["templates"],
        ChainSettings(**spec["chains"]),
        AnswerSettings(**spec["answers"]),
        settings,
    )

    def side(model, name):
        """A model with its chains and answers."""
        files = (parquet.read(inputs[name + one], schema) for one, schema in (("chains", CHAINS), ("answers", ANSWERS)))
        return Side(model, *files)

    base = None
    if inputs.get("base_chains"):
        cards = {name: inputs[name] for name in ("model", "precision")}
        compute = ComputeSettings(**config["compute"])
        base = side(open_local(backend.quantisation, cards, compute, snakemake.threads)[0], "base_")
    run = StageRun("probes", **snakemake.wildcards)
    with open_arm(backend, questions, run, inputs, config, snakemake.threads) as (arm, _):
        found = probe(arm, side(arm.model, ""), base, questions, how)
    parquet.write(found, snakemake.output[0], PROBES)
