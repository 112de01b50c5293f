"""Read the questions of one split from a data set's source."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import errors, parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import questions, readers, sources, splits
    from faithtune.settings.data import SplitSelection

    asked = SplitSelection(**snakemake.params.spec["questions"])
    module = readers.module(asked.reader)

    def read(split):
        """All questions of a split's source."""
        file = asked.files[split]
        if file.source is None:
            return questions.frame(module.generate(module.MOST, asked.seed), asked.data_set, split)
        records = sources.read(file.source, snakemake.input.get(split), file.checksum)
        with errors.prefix_errors(f"data_sets.{asked.data_set}.{split}"):
            return questions.frame(module.questions(records), asked.data_set, split, records)

    frame = splits.questions_of(asked, read)
    chosen = splits.select(frame, asked.n)
    print(f"{chosen.height} of {frame.height} questions")
    parquet.write(chosen, snakemake.output[0], QUESTIONS)
