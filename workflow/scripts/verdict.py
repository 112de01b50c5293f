"""Write the verdict on each tuned arm."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import json

    from faithtune.core import parquet
    from faithtune.core.schemas.estimates import CHANGES, ESTIMATES
    from faithtune.core.schemas.probes import INSIDE
    from faithtune.measures.generalisation.crossing import CROSSING
    from faithtune.measures.generalisation.shifts import SHIFTS
    from faithtune.measures.long_term.curves import CURVES, DEPARTURES
    from faithtune.measures.long_term.forgetting import FORGETTING
    from faithtune.measures.stats.bootstrap import Sampling
    from faithtune.measures.verdicts.recipes import RECIPES
    from faithtune.measures.verdicts.verdict import Study
    from faithtune.report.verdict import courses, crossings, document, forms, inside, sequences

    spec, given = snakemake.params.spec, snakemake.input
    estimates, changes = parquet.read(given.estimates, ESTIMATES), parquet.read(given.changes, CHANGES)
    study = Study(estimates, changes, Sampling(**spec["sampling"]), spec["margin"], spec["turns"])
    more = {}
    if given.curves:
        points, departures = parquet.read(given.curves[0], CURVES), parquet.read(given.curves[1], DEPARTURES)
        more["course"] = courses.courses(points, departures, spec["margin"])
    if given.shifts:
        more["shifts"] = forms.forms(parquet.read(given.shifts[0], SHIFTS), spec["margin"])
    if given.crossing:
        more["crossing"] = crossings.crossings(parquet.read(given.crossing[0], CROSSING))
    if given.inside:
        more["inside"] = inside.inside(parquet.read(given.inside[0], INSIDE), spec["margin"])
    of_paths = sequences.sequences(parquet.read(given.forgetting[0], FORGETTING)) if given.forgetting else []
    found = document.build(spec["arms"], study, parquet.read(given.recipes, RECIPES), more, of_paths)
    texts = {
        snakemake.output.json: json.dumps(found, indent=2, ensure_ascii=False) + "\n",
        snakemake.output.md: document.markdown(found),
    }
    for path, text in texts.items():
        with parquet.atomic_path(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
