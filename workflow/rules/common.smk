# Loads the configuration and names its constants.
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
    from faithtune.study import compared, config as study_config, lineage, model_settings, plan, probing, sampling
    from faithtune.study.generalisation import crossing, shifts
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
    for path in shifts.template_files(STUDY):
        TEMPLATE_FILES[f"{path.parent.name}/{path.name}"] = path.read_bytes().decode()
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
# Each arm with the evaluation sets on which it is looked into.
PROBED = probing.probed(STUDY)
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


def get_arm(wildcards):
    """The arm that the wildcards name."""
    return BY_NAME[wildcards.model, wildcards.arm]
