"""Read the answers at each kept fraction alpha, and make every estimate of the study."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.estimates import CHANGES, ESTIMATES
    from faithtune.core.schemas.interventions import MISTAKES, PARAPHRASES
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.measures import alpha, estimates
    from faithtune.measures.pooling import ArmResults, StudyResults
    from faithtune.measures.stats.bootstrap import Sampling

    spec = snakemake.params.spec

    def read(name, schema):
        """The frames of a stage, by (model, arm, eval_set)."""
        paths = snakemake.input.get(name) or []
        return {tuple(path.removesuffix(".parquet").split("/")[-3:]): parquet.read(path, schema) for path in paths}

    questions = {
        name: parquet.read(path, QUESTIONS)
        for name, path in zip(spec["eval_sets"], snakemake.input.questions, strict=True)
    }
    answers, chains = read("answers", ANSWERS), read("chains", CHAINS)
    paraphrases, mistakes = read("paraphrases", PARAPHRASES), read("mistakes", MISTAKES)
    measured = {key: alpha.at_alphas(frame, spec["alphas"]) for key, frame in answers.items()}
    results = {
        key: ArmResults(answers[key], chains[key], measured[key], paraphrases.get(key), mistakes.get(key))
        for key in answers
    }
    applied = {
        tuple(whose): job.read_json(path)["applied"]
        for whose, path in zip(spec["applied"], snakemake.input.get("applied") or [], strict=True)
    }
    study = StudyResults(spec["arms"], results, questions, spec["alphas"], applied)
    frame, changes = estimates.build(study, Sampling(**spec["sampling"]))
    parquet.write(alpha.concat_arms(measured), snakemake.output.measures, alpha.OF_STUDY)
    parquet.write(changes, snakemake.output.changes, CHANGES)
    parquet.write(frame, snakemake.output.estimates, ESTIMATES)
