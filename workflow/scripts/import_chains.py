"""Import chains from a file, and read the answers that they declare."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.arms import imported
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import sources
    from faithtune.settings.data import SourceFile

    file = SourceFile(**snakemake.params.spec["file"])
    chains, answers = imported.read(
        sources.read(file.source, snakemake.input.source, file.checksum),
        parquet.read(snakemake.input.questions, QUESTIONS),
        file.source,
    )
    parquet.write(chains, snakemake.output.chains, CHAINS)
    parquet.write(answers, snakemake.output.answers, ANSWERS)
