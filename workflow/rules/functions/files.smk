# The functions that name files: inputs of rules, and all outputs of the study.


def get_source_file(part):
    """The file of a source: a rule's download or a local file; empty for generated questions."""
    if part is None or part.source is None:
        return []
    source = sources.parse(part.source)
    if source.kind == "file":
        return source.location
    return f"results/downloads/{sources.download_name(source)}"


def get_model_file(wildcards):
    """The downloaded wheel or local file of a model; empty for hub models, which their library fetches."""
    model = STUDY.models[wildcards.model]
    return [] if model.source.startswith("hub:") else get_source_file(model)


def get_model_precision(wildcards):
    """The file with the study's dtype for a GGUF model, which is converted; empty for other sources.

    So a machine that only fetches models from a hub does not choose the dtype of the machines that run them.
    """
    return [] if weights.is_folder(STUDY.models[wildcards.model].source) else "results/precision.json"


def get_card_of(model):
    """The files by which a model with weights is loaded: model.json and the study's dtype; empty for other models."""
    if KINDS[model] != "source":
        return {}
    return {"model": f"results/models/{model}/model.json", "precision": "results/precision.json"}


def get_card(wildcards):
    """`get_card_of` for the wildcard's model."""
    return get_card_of(wildcards.model)


def get_files_of(model):
    """The files that a job needs to ask an untuned model: its card and its host's card."""
    card = get_card_of(model)
    if model in HOSTED:
        card["host"] = f"results/hosts/{model}.json"
    return card


def get_arm_files(wildcards):
    """The files that a job needs to ask an arm: its model's files and, for a tuned arm, arm.json."""
    arm = get_arm(wildcards)
    tuned = {"arm": f"results/arms/{arm.path}/arm.json"} if arm.has_card else {}
    return get_files_of(arm.model) | tuned


def get_first_rows(wildcards):
    """The check that an arm at a host is no second base; its content decides no chain, so it makes none stale.

    A checkpoint early in a training may well answer as base does.
    """
    if wildcards.model not in COMPARED or get_arm(wildcards).place:
        return {}
    return {"first": ancient(f"results/first/{wildcards.model}/{wildcards.arm}.json")}


def get_start_files(wildcards):
    """The cards of the arm that a model starts from, of that arm's base, and the study's dtype."""
    arm = STARTS[wildcards.model]
    return get_card_of(arm.model) | {"arm": f"results/arms/{arm.path}/arm.json"}


def get_questions(wildcards):
    """The evaluation questions that an arm is asked: of a checkpoint only the first, where the configuration says so."""
    return get_first_questions(wildcards.eval_set, get_arm(wildcards).n)


def get_first_questions(eval_set, n):
    """The first n evaluation questions of a set; all of them where n is None."""
    return f"results/questions/{eval_set}.eval{'' if n is None else f'.n{n}'}.parquet"


def get_training_questions(wildcards):
    """The training questions of an arm's data sets."""
    return [f"results/questions/{name}.train.parquet" for name in data_sets_of(get_arm(wildcards).train_set)]


def get_arm_samples(wildcards):
    """The chains that a model drew, for an arm that learns from them; none for other arms."""
    files = [f"results/samples/{one.path}.parquet" for one in sampling.of_arm(get_arm(wildcards))]
    return {"samples": files} if files else {}


def get_asked_files():
    """The files of questions that are made of those of evaluation sets: their first ones, and other forms."""
    first = {(name, arm.n) for arm in CHECKPOINTS for name in arm.eval_sets}
    first |= {(one.eval_set, STUDY.crossing.n) for one in CROSSINGS}
    forms = [f"results/questions/{name}.eval.parquet" for name in STUDY.shifts]
    return [*forms, *(get_first_questions(name, n) for name, n in sorted(first, key=str) if n is not None)]


def get_question_files():
    """SET.SPLIT -> file of questions, for each split that is evaluated or trained on."""
    train_sets = sorted({name for arm in TUNED for name in data_sets_of(arm.train_set)})
    names = [f"{name}.eval" for name in STUDY.eval_sets] + [f"{name}.train" for name in train_sets]
    return {name: f"results/questions/{name}.parquet" for name in names}


def get_forecast_questions():
    """SET.SPLIT -> file of questions, for the evaluation sets, in all forms, and the sets that hosts tune on."""
    hosted = [arm for arm in TUNED if KINDS[arm.model] == "api"]
    train_sets = sorted({name for arm in hosted for name in data_sets_of(arm.train_set)})
    names = [f"{name}.eval" for name in [*STUDY.eval_sets, *STUDY.shifts]] + [f"{name}.train" for name in train_sets]
    return {name: f"results/questions/{name}.parquet" for name in names}


def get_hosted_answers():
    """The files of answers that depend on a host, by their model or by the paraphraser, checkpoints included."""
    everywhere = STUDY.paraphraser.model in HOSTED
    asked = [*get_stage_files("answers", kinds=ASKED, arms=ARMS), *get_crossings(), *get_shift_files("answers")]
    return [path for path in asked if everywhere or path.split("/")[2] in HOSTED]


def get_precision():
    """The file with the study's dtype; empty if no model has weights."""
    return ["results/precision.json"] * bool(get_model_cards())


def get_model_cards():
    """Model -> model.json, for models with weights."""
    return {model: f"results/models/{model}/model.json" for model, kind in KINDS.items() if kind == "source"}


def get_arm_cards():
    """MODEL/ARM -> arm.json, for arms that are tuned or handed in, without checkpoints."""
    return {arm.path: f"results/arms/{arm.path}/arm.json" for arm in WHOLE if arm.has_card}


def get_host_cards():
    """Model -> its host's card, for hosted models."""
    return {model: f"results/hosts/{model}.json" for model in HOSTED}


def get_imported(wildcards):
    """The settings of an imported file of chains."""
    return STUDY.models[wildcards.model].chains[wildcards.arm][wildcards.eval_set]


def get_stage_files(stage, eval_set=None, kinds=models.KINDS, arms=WHOLE):
    """The files of a stage, one for each arm and evaluation set, in the order of the tables."""
    return [
        f"results/{stage}/{arm.path}/{name}.parquet"
        for arm in arms
        for name in arm.eval_sets
        if eval_set in (None, name) and KINDS[arm.model] in kinds
    ]


def get_shards(wildcards):
    """The shards of one file of a stage."""
    pair = f"results/{wildcards.stage}/{wildcards.model}/{wildcards.arm}/{wildcards.eval_set}"
    return [f"{pair}{shard}.parquet" for shard in blocks.names(SHARDS[wildcards.eval_set])]


def get_shard_files(stage):
    """The shards of all divided files of a stage."""
    return [
        f"results/{stage}/{arm.path}/{name}{shard}.parquet"
        for arm in ARMS
        for name in arm.eval_sets
        if name in SHARDS and arm.model in LOADED and stage in SHARED
        for shard in blocks.names(SHARDS[name])
    ]


def get_fetched():
    """All files that need the network: downloads, and the models and questions made from them."""
    return [
        *(f"results/downloads/{name}" for name in DOWNLOADS),
        *(f"results/models/{model}/{name}" for model in PREPARED for name in ("weights", "model.json")),
        *(f"results/arms/{arm.path}/weights" for arm in HANDED if arm.model in PREPARED),
        *get_question_files().values(),
    ]


def get_all_outputs():
    """Everything that the study keeps, from the first intermediate on (see rule all)."""
    rewritten = [stage for stage in NEEDED_BY if is_needed(stage)]
    made = {
        "source": ("weights", "checkpoints", "arm.json", "training.parquet"),
        "api": ("arm.json", "training.parquet"),
    }
    return [
        *get_host_cards().values(),
        *(f"results/first/{arm.path}.json" for arm in MEASURED if arm.model in COMPARED),
        *["results/spend.parquet"] * bool(HOSTED),
        *get_precision(),
        *(card.replace("model.json", "weights") for card in get_model_cards().values()),
        *get_model_cards().values(),
        *get_question_files().values(),
        *get_asked_files(),
        *(f"results/samples/{path}.parquet" for path in SAMPLED),
        *(f"results/arms/{arm.path}/{name}" for arm in TUNED for name in made[KINDS[arm.model]]),
        *(f"results/arms/{arm.path}/{name}" for arm in HANDED for name in ("weights", "handed.json", "arm.json")),
        *(path for stage in ("chains", "answers") for path in get_stage_files(stage, arms=ARMS)),
        *(path for stage in ("interventions", *rewritten) for path in get_stage_files(stage, kinds=ASKED, arms=ARMS)),
        *(path for stage in ("chains", *rewritten, "interventions", "answers") for path in get_shard_files(stage)),
        *(f"results/arms/{arm.path}/arm.json" for arm in CHECKPOINTS if arm.has_card),
        *get_divergence_files(),
        *get_probe_files(),
        *get_dose_files(),
        *get_weight_files(),
        *get_inside(),
        *get_curves(),
        *get_forgetting(),
        *(path for stage in ("chains", "interventions", *rewritten, "answers") for path in get_shift_files(stage)),
        *get_shifts(),
        *get_crossings(),
        *get_crossing(),
        *[f"results/checkpoints/{name}.parquet" for name in ("measures", "estimates", "changes")] * bool(CHECKPOINTS),
        "results/measures.parquet",
        "results/estimates.parquet",
        "results/changes.parquet",
        "results/generalisation.parquet",
        "results/claims.parquet",
        "results/recipes.parquet",
        "results/verdict.json",
        "results/verdict.md",
        "results/provenance.json",
        *(f"results/tables/{table}.{suffix}" for table in tables.TABLES for suffix in ("parquet", "csv", "md", "tex")),
        *(f"results/figures/{name}.{end}" for name in figures.names(STUDY.eval_sets) for end in ("svg", "parquet")),
        "results/report/index.html",
        *(f"results/report/items/{name}" for name in STUDY.eval_sets),
    ]
