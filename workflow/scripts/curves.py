"""Follow trainings over their checkpoints."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES
    from faithtune.core.schemas.probes import DIVERGENCE
    from faithtune.measures.long_term import curves
    from faithtune.measures.stats.bootstrap import Sampling

    spec = snakemake.params.spec

    def point(of):
        """A point of a training, from its card; of a training elsewhere by its name alone."""
        if of["card"] is None:
            return curves.Point(of["arm"], of["place"], None if of["place"] == curves.END else int(of["place"]))
        card = job.read_json(of["card"])
        return curves.Point(of["arm"], of["place"], card.get("step", card["steps"]), card["seen"])

    courses = [
        curves.Course(one["model"], one["arm"], curves.in_order(map(point, one["points"]))) for one in spec["courses"]
    ]
    changes, sampling = parquet.read(snakemake.input.changes, CHANGES), Sampling(**spec["sampling"])
    probed = [
        (tuple(whose), parquet.read(path, DIVERGENCE))
        for whose, path in zip(spec["probed"], snakemake.input.get("divergence") or [], strict=True)
    ]
    found = curves.curves(courses, changes, sampling, curves.join_probed(probed))
    parquet.write(found, snakemake.output.curves, curves.CURVES)
    left = curves.departures(courses, changes, sampling, spec["margin"])
    parquet.write(left, snakemake.output.departures, curves.DEPARTURES)
