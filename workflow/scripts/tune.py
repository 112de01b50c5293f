"""Tune a model on a data set's training questions."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import shutil
    from pathlib import Path

    import torch

    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.training import TRAINING
    from faithtune.jobs import gpus
    from faithtune.models import precision
    from faithtune.tuning import train

    gpus.claim(snakemake.resources.gpu)
    torch.set_num_threads(snakemake.threads)
    settings = {key: value for key, value in snakemake.params.spec.items() if key not in ("code", "templates")}
    chosen, device = (
        job.read_json(snakemake.input.precision),
        precision.device_kind(snakemake.config["compute"]["device"]),
    )
    precision.tell_cost(chosen, precision.present(device))
    settings["dtype"] = chosen["dtype"]
    names = snakemake.wildcards
    under_way = Path("results/store/checkpoints") / f"{names.model}-{names.arm}"
    with train.alone(under_way / "lock"):
        card, log, checkpoints = train.train(
            model=job.read_json(snakemake.input.model),
            settings=settings,
            questions=parquet.read(snakemake.input.questions, QUESTIONS),
            templates=snakemake.params.spec["templates"],
            under_way=under_way,
            weights=Path(snakemake.output.weights),
            device=device,
            code=snakemake.params.spec["code"],
        )
        parquet.write(log, snakemake.output.training, TRAINING)
        job.write_json(card, snakemake.output.card)
        shutil.rmtree(checkpoints, ignore_errors=True)
