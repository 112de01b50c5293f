"""Take over chains that were written elsewhere, and read their answers."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import imported
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import sources

    spec = snakemake.params.spec
    chains, answers = imported.read(
        sources.read(spec["source"], snakemake.input.source, spec.get("checksum")),
        parquet.read(snakemake.input.questions, QUESTIONS),
        spec["source"],
    )
    parquet.write(chains, snakemake.output.chains, CHAINS)
    parquet.write(answers, snakemake.output.answers, ANSWERS)
