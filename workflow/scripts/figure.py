"""Draw one figure."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.answers import ANSWERS
    from faithtune.core.schemas.chains import CHAINS
    from faithtune.core.schemas.estimates import ESTIMATES
    from faithtune.core.schemas.training import HOSTED_TRAINING, TRAINING
    from faithtune.measures import pooling
    from faithtune.measures.stats.bootstrap import Sampling
    from faithtune.report.figures import figures

    spec, name = snakemake.params.spec, snakemake.wildcards.figure

    def pairs(schema):
        frames = {tuple(path.removesuffix(".parquet").split("/")[-3:]): path for path in snakemake.input}
        return pooling.pool(spec["arms"], {key: parquet.read(path, schema) for key, path in frames.items()})

    sources = {
        "answers": lambda: pairs(ANSWERS),
        "chains": lambda: pairs(CHAINS),
        "estimates": lambda: parquet.read(snakemake.input[0], ESTIMATES),
        "training": lambda: {
            tuple(arm): parquet.read(path, HOSTED_TRAINING if hosted else TRAINING)
            for (*arm, hosted), path in zip(spec["trained"], snakemake.input, strict=True)
        },
    }
    study = figures.FigureContext(spec["ranked"], Sampling(**spec["sampling"]))
    figures.write(name, sources[figures.figure(name).source](), study, snakemake.output.svg, snakemake.output.data)
