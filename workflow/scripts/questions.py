"""Read the questions of one split from a data set's source."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import reading, splits
    from faithtune.settings.data import SplitSelection

    asked, skipped = SplitSelection(**snakemake.params.spec["questions"]), {}

    def read(split):
        """All questions of a split's source."""
        frame, skipped[split] = reading.read(asked, split, snakemake.input.get(split))
        return frame

    frame = splits.questions_of(asked, read)
    chosen = splits.select(frame, asked.n)
    print(f"{chosen.height} of {frame.height} questions")
    count = skipped["eval" if asked.one_source else asked.split]
    # Table T10 shows it. Other readers write none: their files stay as they were.
    metadata = None if count is None else {"skipped": str(count)}
    parquet.write(chosen, snakemake.output[0], QUESTIONS, metadata)
