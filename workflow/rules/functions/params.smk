# The functions that give rules their parameters and resources.


@functools.cache
def get_templates(*forms, of=None):
    """The texts of the prompt templates of these forms, by name; params hold texts, so moving a file reruns nothing.

    of: an evaluation set, or another form of one, which may have other templates and a marker of options.
    """
    wanted = ("marker", *(f"{form}_" for form in forms))
    texts = TEMPLATES | SHIFTED_TEMPLATES.get(of, {})
    return {name: text for name, text in texts.items() if name.startswith(wanted)}


def get_training(wildcards):
    """The settings of an arm's training, but for the dtype and the hash of its code."""
    arm = get_arm(wildcards)
    writes = {"forced_start": STUDY.chains.forced_start} if arm.recipe.method == "grpo" else {}
    return arm.training() | model_settings.loading(STUDY, arm.model) | writes


def get_places(wildcards):
    """Which states of an arm's training are kept."""
    return [arm.place for arm in CHECKPOINTS if (arm.model, arm.training_name) == (wildcards.model, wildcards.arm)]


def get_estimates_spec(arms):
    """The settings of estimates of these arms."""
    return {
        "alphas": STUDY.measures.alphas,
        "sampling": get_sampling(),
        "arms": [arm.facts() for arm in arms],
        "eval_sets": STUDY.eval_sets,
        "applied": [[arm.model, arm.label] for arm in arms if arm.handed],
        "code": code("estimates.py"),
    }


def get_handed(wildcards):
    """The settings of an arm that was handed in."""
    return get_arm(wildcards).handed


def get_gpus_of(model):
    """The number of GPUs of a job that asks this model; 0 for hosts and oracles."""
    return GPUS if model in LOADED else 0


def get_gpus(wildcards):
    """The number of GPUs of a job that asks an arm."""
    return get_gpus_of(wildcards.model)


def get_tune_threads(wildcards):
    """The CPU threads of a training: by default half of the cores, so that other jobs can run beside it."""
    if given := STUDY.compute.tune_threads:
        return given
    cores = workflow.resource_settings.cores  # None where nothing runs on this machine
    if not workflow.local_exec or workflow.remote_exec or not cores or (GPUS and gpus.visible_gpus()):
        return 2
    return max(1, cores // 2)


def get_backend(wildcards):
    """The settings by which an arm answers, part of its identity."""
    return get_backend_of(wildcards.model, wildcards.arm)


@functools.cache
def get_backend_of(model, arm):
    """The settings by which an arm answers; chat models also get the templates of their turns."""
    chat = {"chat": get_templates("chat")} if KINDS[model] == "api" else {}
    return plan.backend(STUDY, model, arm).model_dump() | chat


def get_turns(model):
    """What the configuration says of a model's conversation, if it says anything."""
    found = model_settings.turns(STUDY, model)
    return {"turns": found} if found else {}


def models_of(*kinds):
    """A wildcard constraint that matches the models of these kinds."""
    return "|".join(name for name, kind in KINDS.items() if kind in kinds) or "-"


def is_needed(stage):
    """Whether one of the study's tests needs this stage."""
    return not NEEDED_BY[stage].isdisjoint(STUDY.tests)


def is_regenerated(stage):
    """Whether a test of the study has the arm regenerate the rest after steps of this stage."""
    return any(TESTS[test].rewritten_by == stage for test in REGENERATED if test in STUDY.tests)


def get_wanted_dtype():
    """The dtype by which the study's type is chosen."""
    recorded, chosen = Path(get_place("results/precision.json")), None
    with contextlib.suppress(UserError):  # damaged: a job that reads it says so
        chosen = job.load_json(recorded) if recorded.exists() else None
    return precision.wanted(model_settings.dtype(STUDY), chosen)


def get_tokenizer(wildcards):
    """The configured tokenizer of a host's model; None for other models."""
    api = STUDY.models[wildcards.model].api
    return api and api.tokenizer


def get_sampling():
    """The settings of the bootstrap."""
    return STUDY.measures.model_dump(include={"confidence", "replicates"}) | {"seed": STUDY.seed}


def get_block_params(wildcards):
    """How a set is cut into shards: part of what each of them is."""
    return {"block_size": STUDY.compute.block_size} if wildcards.shard else {}
