import functools
import gc
import os
import sys
import time
from pathlib import Path


def get_basedir():
    """workflow/, whichever Snakefile was started; of a module on GitHub, in Snakemake's cache."""
    here = workflow.current_basedir
    if hasattr(here, "hosted_repo"):  # what is imported or read must lie there, not only what a rule names
        listed = here.hosted_repo.repo.git.ls_tree("-r", "--name-only", here.ref, "workflow", "resources")
        here = [workflow.source_path(f"../../{name}") for name in listed.splitlines()]
        return next(Path(path) for path in here if path.endswith("workflow/Snakefile")).parent
    return Path(str(here)).parent


def get_place(path):
    """Where a result lies: under the prefix, where this is a module that has one."""
    return str(workflow.modifier.modify_path(path))


BASEDIR = get_basedir()
SCRIPTS = BASEDIR / "scripts"
sys.path.insert(0, str(SCRIPTS))

try:
    from faithtune.arms import blocks
    from faithtune.core import damage
    from faithtune.core.errors import UserError
    from faithtune.core.schemas.estimates import BASE
    from faithtune.data import prompts, readers, sources
    from faithtune.interventions.registry import NEEDED_BY, REGENERATED, TESTS
    from faithtune.jobs import gpus, job, parent, provenance, runtimes, status
    from faithtune.jobs.code_hash import code_fingerprint
    from faithtune.models import precision, weights
    from faithtune.report.figures import figures
    from faithtune.report.tables import published, sources as table_sources, tables
    from faithtune.settings import models
    from faithtune.study import config as study_config, plan
except ModuleNotFoundError as error:  # conda makes environments for jobs only
    raise SystemExit(f"faithtune: {error}: install what envs/analysis.yaml names beside Snakemake, too")

# For every job: no start-up chatter, and glibc's allocator keeps what is freed, which makes CPU tensors faster. Large
# pages (glibc.malloc.hugetlb) made them faster on some machines, and a job's start four seconds slower on others.
for name, value in {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(name, value)

os.environ[parent.STARTED_BY] = str(os.getpid())

# Planning makes next to no garbage in cycles; to look for it among all objects, again and again, is a tenth of the time
# that 10,000 jobs take.
gc.set_threshold(20_000, 10, 1_000)

try:
    STUDY = study_config.load(config)
    if workflow.is_main_process:  # a job on a cluster's node loads the workflow again, twice
        study_config.check_files(STUDY)
    # Read here, not by a job: its rows and its hash are params, wherever the workflow lies.
    path = BASEDIR.parent / "resources/published/published.csv"
    PUBLISHED, PUBLISHED_SHA256 = published.load(path), provenance.sha256(path.read_bytes())
    # Likewise: jobs get the templates as texts. As they stand in their files they are shown and hashed.
    paths = sorted(Path(STUDY.prompts).glob("*.txt"))
    TEMPLATES, TEMPLATE_FILES = prompts.read_templates(paths), {path.name: path.read_bytes().decode() for path in paths}
    PAGE_SHA256 = provenance.sha256((BASEDIR / "report/page.html").read_bytes())
    viewer = sorted((BASEDIR / "report/items").iterdir())
    VIEWER_SHA256 = {path.name: provenance.sha256(path.read_bytes()) for path in viewer}
    for name in STUDY.models:
        weights.check_link(get_place(f"results/models/{name}/weights"))
except UserError as error:
    raise SystemExit(f"faithtune: {error}")

# Scripts read these from there, not from params: they decide how fast, not what.
config["compute"] = STUDY.compute.model_dump()
config["hosts"] = {name: settings.model_dump() for name, settings in plan.host_settings(STUDY).items()}
ARMS = [arm | {"eval_sets": plan.eval_sets(STUDY, arm)} for arm in plan.arms(STUDY)]
KINDS = {name: model.kind for name, model in STUDY.models.items()}
BY_NAME = {(arm["model"], arm["arm"]): arm for arm in ARMS}
# The arms that this study tunes, here or at their host, and their names.
TUNED = [arm for arm in ARMS if plan.is_tuned(STUDY, arm)]
TUNED_NAMES = {(arm["model"], arm["arm"]) for arm in TUNED}
# The models that a host answers for.
HOSTED = list(config["hosts"])
# The arms as the tables have them.
TABLE_ARMS = plan.table_arms(STUDY)
# The kinds of models that can be asked anything.
ASKED = ("source", "oracle", "api")
# The models whose weights are loaded here, by jobs that ask them.
LOADED = [name for name, kind in KINDS.items() if kind == "source" and name not in HOSTED]
# The sets that several jobs share, and over how many; and the stages in which they do, where weights are loaded.
SHARDS = {name: n for name, n in STUDY.compute.shards.items() if n > 1}
SHARED = ["chains", "regenerations", "interventions", "answers"]
SHARED += ["paraphrases", "mistakes"] if STUDY.paraphraser.model in LOADED else []
# GPUs of a job that loads weights, where there are any (gpus.py).
GPUS = int(STUDY.compute.device != "cpu")
# What `sources.download` is asked for, by the file it makes.
DOWNLOADS = plan.downloads(STUDY)


wildcard_constraints:
    model="[a-z0-9_]+",
    arm="[a-z0-9_-]+",
    data_set="[a-z0-9_]+",
    eval_set="[a-z0-9_]+",
    split="train|eval",
    # Of a set that several jobs share, `.2of3`.
    shard=r"(?:\.\d+of\d+)?",
    table="|".join(tables.TABLES),
    figure="|".join(figures.names(STUDY.eval_sets)),


@functools.cache
def code(script, *modules):
    """Hash of the code that a script runs: part of every rule's params."""
    return code_fingerprint(SCRIPTS / script, *modules)


def get_source_file(part):
    """The file behind a source: downloaded by a rule, or the local one; nothing for generated questions."""
    if part is None or part.source is None:
        return []
    source = sources.parse(part.source)
    if source.kind == "file":
        return source.location
    return f"results/downloads/{sources.download_name(source)}"


def get_model_file(wildcards):
    """What a model is made of: a downloaded wheel or a local file; hub models are fetched by their library."""
    model = STUDY.models[wildcards.model]
    return [] if model.source.startswith("hub:") else get_source_file(model)


def get_model_precision(wildcards):
    """The type that a GGUF file is converted to; nothing for other sources, which lie in a type of their own.

    So a machine that only fetches a hub's models does not choose the type for those that ask them.
    """
    return [] if weights.is_folder(STUDY.models[wildcards.model].source) else "results/precision.json"


@functools.cache
def get_templates(*forms):
    """The prompt templates of these forms, by name: a changed one changes what a model is asked, not where it lies."""
    return {name: text for name, text in TEMPLATES.items() if name.startswith(tuple(f"{form}_" for form in forms))}


def get_arm(model, arm):
    """The arm of that name, as `plan.arms` has it."""
    return BY_NAME[model, arm]


def get_card_of(model):
    """What a model with weights is loaded by: model.json and the study's dtype; nothing for others."""
    if KINDS[model] != "source":
        return {}
    return {"model": f"results/models/{model}/model.json", "precision": "results/precision.json"}


def get_card(wildcards):
    """That of the wildcard's model."""
    return get_card_of(wildcards.model)


def get_files_of(model):
    """What a model as it came is asked with: its card, and what its host says."""
    card = get_card_of(model)
    if model in HOSTED:
        card["host"] = f"results/hosts/{model}.json"
    return card


def get_arm_files(wildcards):
    """What an arm is asked with: its model's files and, where it is tuned here, arm.json."""
    model, arm = wildcards.model, wildcards.arm
    tuned = {"arm": f"results/arms/{model}/{arm}/arm.json"} if (model, arm) in TUNED_NAMES else {}
    return get_files_of(model) | tuned


def get_gpus_of(model):
    """GPUs of a job that asks this model: none where a host or an oracle answers."""
    return GPUS if model in LOADED else 0


def get_gpus(wildcards):
    """GPUs of a job that asks an arm."""
    return get_gpus_of(wildcards.model)


def get_tune_threads(wildcards):
    """CPU threads of a training: half of the cores, so that other jobs go on beside it and no core waits for another."""
    if given := STUDY.compute.tune_threads:
        return given
    cores = workflow.resource_settings.cores  # None where nothing runs on this machine
    if not workflow.local_exec or workflow.remote_exec or not cores or (GPUS and gpus.visible_gpus()):
        return 2
    return max(1, cores // 2)


def get_backend(wildcards):
    """How an arm is made to answer: part of what it is."""
    return get_backend_of(wildcards.model, wildcards.arm)


def get_backend_of(model, arm):
    """That of an arm by its name; of chats with the templates of their turns."""
    chat = {"chat": get_templates("chat")} if KINDS[model] == "api" else {}
    return plan.backend(STUDY, model, arm).model_dump(exclude_none=True) | chat


def models_of(*kinds):
    """A wildcard constraint: the models of these kinds."""
    return "|".join(name for name, kind in KINDS.items() if kind in kinds) or "-"


def is_needed(stage):
    """Whether one of the study's tests needs this stage."""
    return not NEEDED_BY[stage].isdisjoint(STUDY.tests)


def is_regenerated(stage):
    """Whether an arm writes on after steps that this stage rewrote."""
    return any(TESTS[test].rewritten_by == stage for test in REGENERATED if test in STUDY.tests)


def get_question_files():
    """The questions of each split that is asked or trained on, by SET.SPLIT."""
    train_sets = sorted({arm["train_set"] for arm in TUNED})
    names = [f"{name}.eval" for name in STUDY.eval_sets] + [f"{name}.train" for name in train_sets]
    return {name: f"results/questions/{name}.parquet" for name in names}


def get_forecast_questions():
    """The questions that hosts are asked, and those they tune on, by SET.SPLIT."""
    train_sets = sorted({arm["train_set"] for arm in TUNED if KINDS[arm["model"]] == "api"})
    names = [f"{name}.eval" for name in STUDY.eval_sets] + [f"{name}.train" for name in train_sets]
    return {name: f"results/questions/{name}.parquet" for name in names}


def get_hosted_answers():
    """The answers that rest on what a host said, be it of the paraphraser."""
    everywhere = STUDY.paraphraser.model in HOSTED
    return [path for path in per_pair("answers", kinds=ASKED) if everywhere or path.split("/")[2] in HOSTED]


def get_precision():
    """The type that models with weights compute in; nothing where there are none."""
    return ["results/precision.json"] * bool(get_model_cards())


def print_precision():
    """Print what the study computes in, and what that costs on this machine if its jobs run here."""
    if not get_precision():
        return
    recorded = Path(get_place("results/precision.json"))
    on_gpu = GPUS and (STUDY.compute.device == "cuda" or gpus.visible_gpus())
    here = precision.cpu() if workflow.local_exec and not on_gpu else None
    try:
        chosen = job.load_json(recorded) if recorded.exists() else here and precision.choose(plan.dtype(STUDY), here)
    except UserError:  # damaged: a job that reads it says so
        return
    if chosen is None:
        print("The job precision chooses what to compute in, where models are asked.", file=sys.stderr)
        return
    print(f"Computing in {precision.describe(chosen)}.", file=sys.stderr)
    if here and recorded.exists() and (line := precision.describe_cost(chosen, here)):
        print(f"faithtune: warning: {line}", file=sys.stderr)
        os.environ[precision.COST_WARNED] = "1"


def get_model_cards():
    """The model.json of every model that has weights."""
    return {model: f"results/models/{model}/model.json" for model, kind in KINDS.items() if kind == "source"}


def get_arm_cards():
    """The arm.json of every tuned arm, by MODEL/ARM."""
    tuned = [f"{arm['model']}/{arm['arm']}" for arm in TUNED]
    return {name: f"results/arms/{name}/arm.json" for name in tuned}


def get_host_cards():
    """What each hosted model's host said of itself."""
    return {model: f"results/hosts/{model}.json" for model in HOSTED}


def get_imported(wildcards):
    """The file of chains written elsewhere."""
    return STUDY.models[wildcards.model].chains[wildcards.arm][wildcards.eval_set]


def get_tokenizer(wildcards):
    """The tokenizer that a host's model is configured with; None for other models."""
    api = STUDY.models[wildcards.model].api
    return api and api.tokenizer


def get_sampling():
    """How intervals are drawn."""
    return STUDY.measures.model_dump(include={"confidence", "replicates"}) | {"seed": STUDY.seed}


def get_imported_files():
    """The files of chains written elsewhere, by MODEL/ARM/SET."""
    return {
        f"{arm['model']}/{arm['arm']}/{name}": get_source_file(STUDY.models[arm["model"]].chains[arm["arm"]][name])
        for arm in ARMS
        if KINDS[arm["model"]] == "chains"
        for name in arm["eval_sets"]
    }


def per_pair(stage, eval_set=None, kinds=models.KINDS):
    """The files of a stage, one an arm and evaluation set, in the order of the tables."""
    return [
        f"results/{stage}/{arm['model']}/{arm['arm']}/{name}.parquet"
        for arm in ARMS
        for name in arm["eval_sets"]
        if eval_set in (None, name) and KINDS[arm["model"]] in kinds
    ]


def get_shards(wildcards):
    """The shards of a stage's file."""
    pair = f"results/{wildcards.stage}/{wildcards.model}/{wildcards.arm}/{wildcards.eval_set}"
    return [f"{pair}{shard}.parquet" for shard in blocks.names(SHARDS[wildcards.eval_set])]


def per_shard(stage):
    """The shards of all files of a stage."""
    return [
        f"results/{stage}/{arm['model']}/{arm['arm']}/{name}{shard}.parquet"
        for arm in ARMS
        for name in arm["eval_sets"]
        if name in SHARDS and arm["model"] in LOADED and stage in SHARED
        for shard in blocks.names(SHARDS[name])
    ]


def get_block_params(wildcards):
    """How a set is cut into shards: part of what each of them is."""
    return {"block_size": STUDY.compute.block_size} if wildcards.shard else {}


# The files that tables and figures are made from, by the names their definitions use (Source.inputs).
REPORT_FILES = {
    "answers": lambda wc: per_pair("answers", figures.eval_set(wc.figure)),
    "arms": lambda wc: list(get_arm_cards().values()),
    "chains": lambda wc: per_pair("chains"),
    "claims": lambda wc: ["results/claims.parquet"],
    "estimates": lambda wc: ["results/estimates.parquet"],
    "models": lambda wc: list(get_model_cards().values()),
    "questions": lambda wc: list(get_question_files().values()),
    "sources": lambda wc: get_local_data(),
    "spend": lambda wc: ["results/spend.parquet"] * bool(HOSTED),
    "training": lambda wc: [f"results/arms/{arm['model']}/{arm['arm']}/training.parquet" for arm in TUNED],
}


def get_table_input(wildcards):
    """What a table is made from, besides its provenance."""
    return {name: REPORT_FILES[name](wildcards) for name in tables.TABLES[wildcards.table].source.inputs}


def get_figure_input(wildcards):
    """What the points of a figure are made from."""
    return {name: REPORT_FILES[name](wildcards) for name in figures.figure(wildcards.figure).source.inputs}


def get_figure_spec(name):
    """All that decides a figure besides the files it is made from: the settings that its source names."""
    of, wanted = figures.eval_set(name), figures.figure(name).source.settings
    sets = set(STUDY.eval_sets if of is None else [of])
    asked = [arm | {"eval_sets": [name for name in arm["eval_sets"] if name in sets]} for arm in ARMS]
    asked = [arm for arm in asked if arm["eval_sets"]]
    seeds = [[arm["model"], arm["label"], arm["seed"], KINDS[arm["model"]] == "api"] for arm in TUNED]
    known = {"sampling": get_sampling(), "arms": asked, "ranked": TABLE_ARMS, "trained": seeds}
    return {key: known[key] for key in wanted} | {"caption": figures.figure(name).caption, "code": code("figure.py")}


def get_local_data():
    """The local files that questions are read from, of which table T10 tells the hash."""
    return sorted(
        {part["source"] for part in get_data_parts() if part["source"] and sources.parse(part["source"]).kind == "file"}
    )


def get_data_parts():
    """Each file of questions as table T10 describes it."""
    parts = []
    for name in get_question_files():
        data_set, split = name.split(".")
        part = STUDY.data_sets[data_set].split(split).model_dump(include={"source", "checksum"})
        part["licence"] = readers.licence(STUDY.data_sets[data_set].reader, part["source"])
        part["share"] = plan.share(STUDY, data_set, split)
        parts.append({"data_set": data_set, "split": split, **part})
    return parts


def get_whole_code():
    """The code of every job: when it changes, so may the commit that the results come from."""
    modules = sorted({f"faithtune.data.readers.{data_set.reader}" for data_set in STUDY.data_sets.values()})
    return {script.name: code(script.name, *modules) for script in sorted(SCRIPTS.glob("*.py"))}


def get_fetched():
    """Downloads, and models and questions, which are fetched or made of them."""
    return [
        *(f"results/downloads/{name}" for name in DOWNLOADS),
        *(card.replace("model.json", "weights") for card in get_model_cards().values()),
        *get_model_cards().values(),
        *get_question_files().values(),
    ]


def get_all_outputs():
    """Everything that is kept, down to the first intermediate (see rule all)."""
    rewritten = [stage for stage in NEEDED_BY if is_needed(stage)]
    made = {"source": ("weights", "arm.json", "training.parquet"), "api": ("arm.json", "training.parquet")}
    return [
        *get_host_cards().values(),
        *["results/spend.parquet"] * bool(HOSTED),
        *get_precision(),
        *(card.replace("model.json", "weights") for card in get_model_cards().values()),
        *get_model_cards().values(),
        *get_question_files().values(),
        *(f"results/arms/{arm['model']}/{arm['arm']}/{name}" for arm in TUNED for name in made[KINDS[arm["model"]]]),
        *(path for stage in ("chains", "answers") for path in per_pair(stage)),
        *(path for stage in ("interventions", *rewritten) for path in per_pair(stage, kinds=ASKED)),
        *(path for stage in ("chains", *rewritten, "interventions", "answers") for path in per_shard(stage)),
        "results/measures.parquet",
        "results/estimates.parquet",
        "results/changes.parquet",
        "results/claims.parquet",
        "results/provenance.json",
        *(f"results/tables/{table}.{suffix}" for table in tables.TABLES for suffix in ("parquet", "csv", "md", "tex")),
        *(f"results/figures/{name}.{end}" for name in figures.names(STUDY.eval_sets) for end in ("svg", "parquet")),
        "results/report/index.html",
        *(f"results/report/items/{name}" for name in STUDY.eval_sets),
    ]


# Once a run, by the process that plans it: not by those of its jobs.
if workflow.is_main_process:
    folders = {get_place("results"), "results/store"}  # which has no prefix, and may be a link to a larger disk
    for line in damage.check_results(folders, map(get_place, get_all_outputs()), workflow.output_settings.dryrun):
        print(f"faithtune: {line}", file=sys.stderr)
