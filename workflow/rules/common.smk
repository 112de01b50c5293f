# Loads the configuration, names its constants, and holds the functions that give rules their parameters and resources.
import contextlib
import functools
import gc
import os
import sys
import time
from pathlib import Path


def get_basedir():
    """The folder workflow/ of this file; for a module on GitHub, its copy in Snakemake's cache."""
    here = workflow.current_basedir
    if hasattr(here, "hosted_repo"):  # Snakemake fetches files that rules name; we fetch all that is imported or read
        listed = here.hosted_repo.repo.git.ls_tree("-r", "--name-only", here.ref, "workflow", "resources")
        here = [workflow.source_path(f"../../{name}") for name in listed.splitlines()]
        return next(Path(path) for path in here if path.endswith("workflow/Snakefile")).parent
    return Path(str(here)).parent


def get_place(path):
    """The path of a result, under the prefix if this workflow is a module with a prefix."""
    return str(workflow.modifier.modify_path(path))


BASEDIR = get_basedir()
SCRIPTS = BASEDIR / "scripts"
sys.path.insert(0, str(SCRIPTS))

try:
    from faithtune.arms import blocks
    from faithtune.core import damage
    from faithtune.core.errors import UserError
    from faithtune.core.schemas.estimates import BASE, data_sets_of
    from faithtune.data import prompts, readers, sources
    from faithtune.interventions.registry import NEEDED_BY, REGENERATED, TESTS
    from faithtune.jobs import gpus, job, parent, provenance, runtimes, status
    from faithtune.jobs.code_hash import code_fingerprint
    from faithtune.models import precision, weights
    from faithtune.report.figures import figures
    from faithtune.report.tables import published, sources as table_sources, tables
    from faithtune.settings import models
    from faithtune.study import compared, config as study_config, crossing, lineage, model_settings, plan, shifts
    from faithtune.study import sampling
    from faithtune.tuning import handed
except ModuleNotFoundError as error:  # conda makes environments for jobs only
    raise SystemExit(f"faithtune: {error}: install the packages of envs/analysis.yaml beside Snakemake")

# For every job: less start-up output, and glibc's allocator keeps freed memory, which makes CPU tensors faster. Large
# pages (glibc.malloc.hugetlb) sped up some machines, but delayed the start of a job by four seconds on others.
for name, value in {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(name, value)

os.environ[parent.STARTED_BY] = str(os.getpid())

# Planning makes few reference cycles, and the default thresholds spend a tenth of planning 10,000 jobs on finding them.
gc.set_threshold(20_000, 10, 1_000)

try:
    # A job on a cluster's node loads the workflow again, twice.
    STUDY = study_config.load(config, files=workflow.is_main_process)
    # Read here and not by a job: the rows and the hash are params, which do not depend on the workflow's folder.
    path = BASEDIR.parent / "resources/published/published.csv"
    PUBLISHED, PUBLISHED_SHA256 = published.load(path), provenance.sha256(path.read_bytes())
    # Likewise jobs get the templates as texts; the files' own contents are shown and hashed.
    paths = sorted(Path(STUDY.prompts).glob("*.txt"))
    TEMPLATES, TEMPLATE_FILES = prompts.read_templates(paths), {path.name: path.read_bytes().decode() for path in paths}
    # What other forms of evaluation sets have in their place.
    SHIFTED_TEMPLATES = shifts.templates(STUDY)
    PAGE_SHA256 = provenance.sha256((BASEDIR / "report/page.html").read_bytes())
    viewer = sorted((BASEDIR / "report/items").iterdir())
    VIEWER_SHA256 = {path.name: provenance.sha256(path.read_bytes()) for path in viewer}
    for name, model in STUDY.models.items():
        for path in (f"models/{name}", *(f"arms/{name}/{arm}" for arm in model.tuned)):
            weights.check_link(get_place(f"results/{path}/weights"))
except UserError as error:
    raise SystemExit(f"faithtune: {error}")

# Scripts read these from `config`, not from params: they change how fast a job runs, not what it computes.
config["compute"] = STUDY.compute.model_dump()
config["sampled"] = sampling.names(STUDY)
config["hosts"] = {name: settings.model_dump() for name, settings in plan.host_settings(STUDY).items()}
# Where a model's chat template lies, which only errors name.
config["chat_templates"] = {name: model.chat_template for name, model in STUDY.models.items()}
ARMS = plan.arms(STUDY)
KINDS = {name: model.kind for name, model in STUDY.models.items()}
BY_NAME = {(arm.model, arm.name): arm for arm in ARMS}
# The arms that are states of a training on the way. They have estimates and curves of their own and stand in no table.
CHECKPOINTS = [arm for arm in ARMS if arm.place and arm.eval_sets]
# All others.
WHOLE = [arm for arm in ARMS if not arm.place]
# The arms that are evaluated.
MEASURED = [arm for arm in WHOLE if arm.eval_sets]
# The arms that this study tunes, here or at their host.
TUNED = [arm for arm in WHOLE if arm.recipe]
# MODEL/SET/SETTINGS -> the chains that a model draws for training questions.
SAMPLED = sampling.of_study(STUDY)
# The arms whose weights were tuned elsewhere and handed in.
HANDED = [arm for arm in ARMS if arm.handed]
# Model -> the arm that it starts from, for models that start from an arm of this study.
STARTS = {name: BY_NAME[model.start] for name, model in STUDY.models.items() if model.start}
# Tunings that follow one another, all of them measured: their stages.
SEQUENCES = lineage.sequences(STUDY)
# Which arms read the chains of other arms.
CROSSINGS = crossing.crossings(STUDY)
# Each arm with the other forms of evaluation sets that it is asked.
SHIFTED = shifts.shifted(STUDY)
# The models that a host serves.
HOSTED = list(config["hosts"])
# The hosted models with tuned arms, whose first rows are compared with those of base.
COMPARED = list(dict.fromkeys(arm.model for arm in MEASURED if arm.name != BASE and arm.model in HOSTED))
# The arms in the order and form of the tables.
TABLE_ARMS = compared.table_arms(STUDY)
# The kinds of models that can be prompted.
ASKED = ("source", "oracle", "api")
# The models whose weights are loaded by jobs of this study.
LOADED = [name for name, kind in KINDS.items() if kind == "source" and name not in HOSTED]
# The other models with weights, which exist before any training.
PREPARED = [name for name, kind in KINDS.items() if kind == "source" and name not in STARTS]
# Model, training -> one of its checkpoints, which are asked all the same, where its weights are loaded by jobs.
FOLLOWED = {(arm.model, arm.training_name): arm for arm in CHECKPOINTS if arm.model in LOADED}
# Evaluation set -> number of shards, for sets divided over several jobs; and the stages that are divided.
SHARDS = {name: n for name, n in STUDY.compute.shards.items() if n > 1}
SHARED = ["chains", "regenerations", "interventions", "answers"]
SHARED += ["paraphrases", "mistakes"] if STUDY.paraphraser.model in LOADED else []
# GPUs of a job that loads weights; jobs claim a GPU if the machine has any (jobs/gpus.py).
GPUS = int(STUDY.compute.device != "cpu")
# File in results/downloads -> arguments of `sources.download`.
DOWNLOADS = plan.downloads(STUDY)


wildcard_constraints:
    model="[a-z0-9_]+",
    arm="[a-z0-9_+@-]+",
    data_set="[a-z0-9_]+",
    eval_set="[a-z0-9_]+",
    split="train|eval",
    # Of a set that is divided over several jobs: `.2of3`.
    shard=r"(?:\.\d+of\d+)?",
    draws=r"(n\d+-)?t[\d.]+-s\d+-m\d+",
    table="|".join(tables.TABLES),
    figure="|".join(figures.names(STUDY.eval_sets)),


@functools.cache
def code(script, *modules):
    """The hash of the code that a script runs; every rule's params hold it."""
    return code_fingerprint(SCRIPTS / script, *modules)


@functools.cache
def get_templates(*forms, of=None):
    """The texts of the prompt templates of these forms, by name; params hold texts, so moving a file reruns nothing.

    of: an evaluation set, or another form of one, which may have other templates and a marker of options.
    """
    wanted = ("marker", *(f"{form}_" for form in forms))
    texts = TEMPLATES | SHIFTED_TEMPLATES.get(of, {})
    return {name: text for name, text in texts.items() if name.startswith(wanted)}


def get_arm(wildcards):
    """The arm that the wildcards name."""
    return BY_NAME[wildcards.model, wildcards.arm]


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


def print_precision():
    """Print what the study computes in, and what that costs on this machine if its jobs run here."""
    if not get_precision():
        return
    recorded = Path(get_place("results/precision.json"))
    on_gpu = GPUS and (STUDY.compute.device == "cuda" or gpus.visible_gpus())
    here = precision.cpu() if workflow.local_exec and not on_gpu else None
    try:
        chosen = (
            job.load_json(recorded)
            if recorded.exists()
            else here and precision.choose(model_settings.dtype(STUDY), here)
        )
    except UserError:  # damaged: a job that reads it says so
        return
    if chosen is None:
        print("The job precision chooses what to compute in, where models are asked.", file=sys.stderr)
        return
    print(f"Computing in {precision.describe(chosen)}.", file=sys.stderr)
    if here and recorded.exists() and (line := precision.describe_cost(chosen, here)):
        print(f"faithtune: warning: {line}", file=sys.stderr)
        os.environ[precision.COST_WARNED] = "1"


def print_place_of_verdict():
    """Print where the verdict is, after a run of the whole study."""
    path = Path(get_place("results/verdict.md"))
    if path.is_file() and not (workflow.dag_settings.targets or workflow.dag_settings.until):
        print(
            f"The verdict is in {path.resolve()}; the report, {get_place('results/report/index.html')}, opens with it."
        )


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


def get_figure_spec(name):
    """The settings that a figure depends on, by the names in its source."""
    of, wanted = figures.eval_set(name), figures.figure(name).source.settings
    sets = set(STUDY.eval_sets if of is None else [of])
    asked = [arm.facts() | {"eval_sets": [name for name in arm.eval_sets if name in sets]} for arm in WHOLE]
    asked = [arm for arm in asked if arm["eval_sets"]]
    seeds = [[arm.model, arm.label, arm.seed, KINDS[arm.model] == "api"] for arm in TUNED]
    known = {"sampling": get_sampling(), "arms": asked, "ranked": TABLE_ARMS, "trained": seeds}
    return {key: known[key] for key in wanted} | {"caption": figures.figure(name).caption, "code": code("figure.py")}


def get_data_parts():
    """A row of table T10 for each file of questions."""
    parts = []
    for name in get_question_files():
        data_set, split = name.split(".")
        part = STUDY.data_sets[data_set].split(split).model_dump(include={"source", "checksum"})
        part["licence"] = readers.licence(STUDY.data_sets[data_set].reader, part["source"])
        part["share"] = plan.share(STUDY, data_set, split)
        parts.append({"data_set": data_set, "split": split, **part})
    return parts


def get_trainings():
    """Each arm with a card as in table T11, with the arms that it comes from, in the order of their trainings."""
    known = {model: lineage.lineage(STUDY, model) for model in STUDY.models}
    return [{"model": arm.model, "arm": arm.label, "starts_from": known[arm.model]} for arm in WHOLE if arm.has_card]


def get_whole_code():
    """Script -> hash of its code, for all scripts: if any changes, provenance records the new commit."""
    modules = sorted({f"faithtune.data.readers.{data_set.reader}" for data_set in STUDY.data_sets.values()})
    return {script.name: code(script.name, *modules) for script in sorted(SCRIPTS.glob("*.py"))}
