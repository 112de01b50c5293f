"""Draw one figure."""

from faithtune import job

with job.logged(snakemake.log[0]):
    from faithtune import figures, parquet, pooling
    from faithtune.bootstrap import Sampling

    spec, name = snakemake.params.spec, snakemake.wildcards.figure

    def pairs(schema):
        frames = {tuple(path.removesuffix(".parquet").split("/")[-3:]): path for path in snakemake.input}
        return pooling.pool(spec["arms"], {key: parquet.read(path, schema) for key, path in frames.items()})

    sources = {
        "answers": lambda: pairs(parquet.ANSWERS),
        "chains": lambda: pairs(parquet.CHAINS),
        "estimates": lambda: parquet.read(snakemake.input[0], parquet.ESTIMATES),
        "training": lambda: {
            tuple(arm): parquet.read(path, parquet.HOSTED_TRAINING if hosted else parquet.TRAINING)
            for (*arm, hosted), path in zip(spec["trained"], snakemake.input, strict=True)
        },
    }
    study = figures.Study(spec["ranked"], Sampling(**spec["sampling"]))
    figures.write(name, sources[figures.figure(name).source](), study, snakemake.output.svg, snakemake.output.data)
