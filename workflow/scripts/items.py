"""Write the item viewer of one evaluation set."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from pathlib import Path

    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.interventions import INTERVENTIONS
    from faithtune.core.schemas.probes import PROBES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.models.weights import atomic_folder
    from faithtune.report import viewer

    spec, eval_set = snakemake.params.spec, snakemake.wildcards.eval_set

    def paths(name):
        """(model, arm) -> file."""
        return {tuple(path.split("/")[-3:-1]): path for path in snakemake.input.get(name) or []}

    questions = parquet.read(snakemake.input.questions, QUESTIONS)
    chains, interventions, answers, probes = map(paths, ("chains", "interventions", "answers", "probes"))
    about = viewer.index(eval_set, spec["eval_sets"], questions, spec["arms"], spec["alphas"])
    with atomic_folder(Path(snakemake.output[0])) as folder:
        made = viewer.ViewerWriter(folder, about)
        made.add_questions(viewer.question_rows(questions))
        for arm in spec["arms"]:
            key = arm["model"], arm["arm"]
            tampered = parquet.read(interventions[key], INTERVENTIONS) if key in interventions else None
            made.add(
                viewer.ArmItems(
                    *key,
                    parquet.read(chains[key], CHAINS),
                    tampered,
                    parquet.read(answers[key], ANSWERS),
                    parquet.read(probes[key], PROBES) if key in probes else None,
                )
            )
