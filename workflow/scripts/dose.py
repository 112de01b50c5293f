"""Ask an arm with its adapter scaled, and switched off in places."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import sys

    import polars as pl

    from faithtune.arms.open import open_local
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import INTERVENTIONS
    from faithtune.core.schemas.probes import PROBES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.jobs import gpus
    from faithtune.probes import dose, reasoned
    from faithtune.settings.answers import AnswerSettings
    from faithtune.settings.compute import ComputeSettings

    gpus.claim(snakemake.resources.gpu)
    spec, inputs = snakemake.params.spec, snakemake.input
    rows = []
    if reason := dose.why_no_dose(job.read_json(inputs.arm)):
        print(f"no dose: the arm {reason}", file=sys.stderr)
    else:
        schemas = {"questions": QUESTIONS, "chains": CHAINS, "interventions": INTERVENTIONS, "answers": ANSWERS}
        questions, *written = (parquet.read(inputs[name], schema) for name, schema in schemas.items())
        questions = questions.head(spec["n"] or questions.height)
        looked_into = [one.question["id"] for one in reasoned.find(questions, written[0], written[2])]
        questions = questions.filter(pl.col("id").is_in(looked_into))
        cards = {name: inputs[name] for name in ("model", "precision", "arm")}
        compute = ComputeSettings(**snakemake.config["compute"])
        model, _ = open_local(spec["quantisation"], cards, compute, snakemake.threads, open_adapter=True)
        settings = AnswerSettings(**spec["answers"])
        rows = dose.dose(model, questions, *written, spec["templates"], settings, spec["scales"])
    parquet.write(pl.DataFrame(rows, schema=PROBES), snakemake.output[0], PROBES)
