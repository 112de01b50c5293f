"""Read a data set's source and keep the questions of one split."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import errors, parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.data import questions, readers, sources

    spec = snakemake.params.spec
    module = readers.module(spec["reader"])

    def read(split):
        """All questions of a split's source."""
        part = spec["parts"][split]
        if "source" not in part:
            return questions.frame(module.generate(module.MOST, spec["seed"]), spec["data_set"], split)
        records = sources.read(part["source"], snakemake.input.get(split), part.get("checksum"))
        with errors.prefix_errors(f"data_sets.{spec['data_set']}.{split}"):
            return questions.frame(module.questions(records), spec["data_set"], split, records)

    parts = spec["parts"]
    if spec["one_source"]:
        train, evaluation = questions.partition(read("eval"), spec["train_share"])
        frame = train if spec["split"] == "train" else evaluation
    elif spec["split"] == "train" and "eval" in parts:
        frame = questions.without(read("train"), read("eval"))
    else:
        frame = read(spec["split"])
    chosen = questions.select(frame, spec["n"])
    print(f"{chosen.height} of {frame.height} questions")
    parquet.write(chosen, snakemake.output[0], QUESTIONS)
