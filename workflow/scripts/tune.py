"""Tune a model on the training questions of its data sets."""

from faithtune.jobs import job

with job.logged(snakemake.log[0]):
    import shutil
    from pathlib import Path

    import torch

    from faithtune.core import parquet
    from faithtune.core.schemas.questions import QUESTIONS
    from faithtune.core.schemas.samples import SAMPLES
    from faithtune.core.schemas.training import TRAINING
    from faithtune.jobs import gpus
    from faithtune.models import precision
    from faithtune.settings.data import TrainingData
    from faithtune.settings.tunings import Training
    from faithtune.tuning import mixing, own, states, tokens, train

    gpus.claim(snakemake.resources.gpu)
    torch.set_num_threads(snakemake.threads)
    chosen = job.read_json(snakemake.input.precision)
    device = precision.device_kind(snakemake.config["compute"]["device"])
    precision.warn_cost(chosen, precision.present_device(device))
    spec, names, model = snakemake.params.spec, snakemake.wildcards, job.read_json(snakemake.input.model)
    settings = Training(**spec["training"], dtype=chosen["dtype"], code=spec["code"])
    data, parts = TrainingData(**spec["data"]), (parquet.read(path, QUESTIONS) for path in snakemake.input.questions)
    count_tokens = tokens.example_counter(model, spec["templates"]) if data.equal == "tokens" else None
    questions = mixing.training_questions(parts, data, count_tokens)
    counts = {}
    if settings.own:
        samples = [parquet.read(path, SAMPLES) for path in snakemake.input.samples]
        choose = own.learnable if settings.method == "sft" else own.contrasted
        questions, counts = choose(samples, questions, settings.own, names.arm)
    rows = train.method(settings.method).prepare(model, questions, spec["templates"], settings)
    saved = states.SavedStates(spec["checkpoints"], names.arm)
    under_way = Path("results/store/checkpoints") / f"{names.model}-{names.arm}"
    with train.exclusive(under_way / "lock"):
        weights = Path(snakemake.output.weights)
        card, log, checkpoints = train.train(model, settings, rows, under_way, weights, device, saved)
        card |= mixing.describe(questions, data) | counts
        saved.keep(checkpoints, Path(snakemake.output.checkpoints), card, log)
        parquet.write(log, snakemake.output.training, TRAINING)
        job.write_json(card, snakemake.output.card)
        shutil.rmtree(checkpoints, ignore_errors=True)
