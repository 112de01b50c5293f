"""Draw one figure."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.measures.stats.bootstrap import Sampling
    from faithtune.report.figures import figures

    spec, name = snakemake.params.spec, snakemake.wildcards.figure
    data = figures.figure(name).source.read(list(snakemake.input), spec)
    study = figures.FigureContext(spec.get("ranked", []), Sampling(**spec.get("sampling", {})))
    figures.write(name, data, study, snakemake.output.svg, snakemake.output.data)
