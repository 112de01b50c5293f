import functools
import os
import sys
import time
from pathlib import Path

import yaml

# workflow/, whichever Snakefile was started.
BASEDIR = Path(str(workflow.current_basedir)).parent
SCRIPTS = BASEDIR / "scripts"
sys.path.insert(0, str(SCRIPTS))

from faithtune import config as study_config
from faithtune import data, provenance, published, runtimes, sources, study, tables
from faithtune.errors import UserError
from faithtune.fingerprint import code_fingerprint

# For every job: no start-up chatter, and large pages for the allocator, which make
# CPU tensors several times faster with glibc and change nothing elsewhere.
for name, value in {
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": "100000000000",
    "MALLOC_TOP_PAD_": "268435456",
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
}.items():
    os.environ.setdefault(name, value)

try:
    STUDY = study_config.load(config, yaml.safe_load((BASEDIR / "schemas/config.schema.yaml").read_text()))
    if workflow.is_main_process:  # a job on a cluster's node loads the workflow again, twice
        study_config.check_files(STUDY)
    # Read here, not by a job: its rows and its hash are params, wherever the workflow lies.
    path = BASEDIR.parent / "resources/published/published.csv"
    PUBLISHED, PUBLISHED_SHA256 = published.load(path), provenance.sha256(path.read_bytes())
except UserError as error:
    raise SystemExit(f"faithtune: {error}")

# Scripts read these from there, not from params: they decide how fast, not what.
config["compute"] = STUDY["compute"]
config["hosts"] = study.hosting(STUDY)
ARMS = [arm | {"eval_sets": study.eval_sets(STUDY, arm)} for arm in study.arms(STUDY)]
KINDS = {name: study.kind(model) for name, model in STUDY["models"].items()}
# The arms that this study tunes, here or at their host.
TUNED = [arm for arm in ARMS if study.is_tuned(STUDY, arm)]
# The models that a host answers for.
HOSTED = list(config["hosts"])
# The GPUs of a job that loads weights.
GPUS = 0 if STUDY["compute"]["device"] == "cpu" else 1
# The arms as the tables have them.
TABLE_ARMS = study.table_arms(STUDY)
# The kinds of models that can be asked anything.
ASKED = ("source", "oracle", "api")
# The stages between chains and interventions, and the tests that need them.
NEEDED_BY = {
    "paraphrases": {"paraphrase", "prefix_paraphrase"},
    "mistakes": {"mistake"},
    "regenerations": {"mistake", "prefix_paraphrase"},
}
# What `sources.download` is asked for, by the file it makes.
DOWNLOADS = study.downloads(STUDY)


wildcard_constraints:
    model="[a-z0-9_]+",
    arm="[a-z0-9_-]+",
    data_set="[a-z0-9_]+",
    eval_set="[a-z0-9_]+",
    split="train|eval",
    table="|".join(tables.TABLES),


@functools.cache
def code(script, *modules):
    """Hash of the code that a script runs: part of every rule's params."""
    return code_fingerprint(SCRIPTS / script, *modules)


def get_source_file(part):
    """The file behind a source: downloaded by a rule, or the local one; nothing for generated questions."""
    if "source" not in part:
        return []
    source = sources.parse(part["source"])
    if source.kind == "file":
        return source.location
    return f"results/downloads/{sources.download_name(source)}"


def get_model_file(wildcards):
    """What a model is made of: a downloaded wheel or a local file; hub models are fetched by their library."""
    model = STUDY["models"][wildcards.model]
    return [] if model["source"].startswith("hub:") else get_source_file(model)


def get_templates(*forms):
    """The prompt templates of these forms: a changed one changes what a model is asked."""
    return sorted(str(path) for form in forms for path in Path(STUDY["prompts"]).glob(f"{form}_*.txt"))


def get_all_templates():
    """All prompt templates, whatever they are for."""
    return sorted(str(path) for path in Path(STUDY["prompts"]).glob("*.txt"))


def get_arm(model, arm):
    """The arm of that name, as `study.arms` has it."""
    return next(one for one in ARMS if one["model"] == model and one["arm"] == arm)


def get_card(wildcards):
    """model.json of a model with weights; nothing for others."""
    model = wildcards.model
    return {"model": f"results/models/{model}/model.json"} if KINDS[model] == "source" else {}


def get_files_of(model):
    """What a model as it came is asked with: model.json; of a host what it says, and the templates of chats."""
    card = {"model": f"results/models/{model}/model.json"} if KINDS[model] == "source" else {}
    if model in HOSTED:
        card["host"] = f"results/hosts/{model}.json"
    return card | ({"chat": get_templates("chat")} if KINDS[model] == "api" else {})


def get_arm_files(wildcards):
    """What an arm is asked with: its model's files and, where it is tuned here, arm.json."""
    model, arm = wildcards.model, wildcards.arm
    tuned = any(one["model"] == model and one["arm"] == arm for one in TUNED)
    return get_files_of(model) | ({"arm": f"results/arms/{model}/{arm}/arm.json"} if tuned else {})


def get_backend(wildcards):
    """How an arm is made to answer: part of what it is."""
    return {"backend": study.backend(STUDY, wildcards.model, wildcards.arm)}


def get_gpus(wildcards):
    """The GPUs that a job asks for to ask an arm."""
    return gpus_to_ask(wildcards.model)


def gpus_to_ask(model):
    """GPUS where the job loads the model's weights; none for hosts and oracles."""
    return GPUS if KINDS.get(model) == "source" and model not in HOSTED else 0


def models_of(*kinds):
    """A wildcard constraint: the models of these kinds."""
    return "|".join(name for name, kind in KINDS.items() if kind in kinds) or "-"


def is_needed(stage):
    """Whether one of the study's tests needs this stage."""
    return not NEEDED_BY[stage].isdisjoint(STUDY["tests"])


def get_question_files():
    """The questions of each split that is asked or trained on, by SET.SPLIT."""
    train_sets = sorted({arm["train_set"] for arm in TUNED})
    names = [f"{name}.eval" for name in STUDY["eval_sets"]] + [f"{name}.train" for name in train_sets]
    return {name: f"results/questions/{name}.parquet" for name in names}


def get_forecast_questions():
    """The questions that hosts are asked, and those they tune on, by SET.SPLIT."""
    train_sets = sorted({arm["train_set"] for arm in TUNED if KINDS[arm["model"]] == "api"})
    names = [f"{name}.eval" for name in STUDY["eval_sets"]] + [f"{name}.train" for name in train_sets]
    return {name: f"results/questions/{name}.parquet" for name in names}


def get_hosted_answers():
    """The answers that rest on what a host said, be it of the paraphraser."""
    everywhere = STUDY["paraphraser"]["model"] in HOSTED
    return [path for path in per_pair("answers", kinds=ASKED) if everywhere or path.split("/")[2] in HOSTED]


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


def get_imported_files():
    """The files of chains written elsewhere, by MODEL/ARM/SET."""
    return {
        f"{arm['model']}/{arm['arm']}/{name}": get_source_file(
            STUDY["models"][arm["model"]]["chains"][arm["arm"]][name]
        )
        for arm in ARMS
        if KINDS[arm["model"]] == "chains"
        for name in arm["eval_sets"]
    }


def per_pair(stage, eval_set=None, kinds=study.KINDS):
    """The files of a stage, one an arm and evaluation set, in the order of the tables."""
    return [
        f"results/{stage}/{arm['model']}/{arm['arm']}/{name}.parquet"
        for arm in ARMS
        for name in arm["eval_sets"]
        if eval_set in (None, name) and KINDS[arm["model"]] in kinds
    ]


def get_table_input(wildcards):
    """What a table is made from, beside its provenance."""
    return {
        "estimates": {"estimates": "results/estimates.parquet", "models": list(get_model_cards().values())},
        "published": {"estimates": "results/estimates.parquet"},
        "claims": {"claims": "results/claims.parquet"},
        "data": {"questions": list(get_question_files().values()), "sources": get_local_data()},
        "hyper_parameters": {"arms": list(get_arm_cards().values())},
        "prompts": {"templates": get_all_templates()},
        "spend": {"spend": ["results/spend.parquet"] * bool(HOSTED)},
    }[tables.TABLES[wildcards.table].source]


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
        part = {key: STUDY["data_sets"][data_set][split].get(key) for key in ("source", "checksum")}
        licence = data.licence(STUDY["data_sets"][data_set]["reader"], part["source"])
        parts.append({"data_set": data_set, "split": split, "licence": licence, **part})
    return parts


def get_whole_code():
    """The code of every job: when it changes, so may the commit that the results come from."""
    readers = sorted({f"faithtune.data.{data_set['reader']}" for data_set in STUDY["data_sets"].values()})
    return {script.name: code(script.name, *readers) for script in sorted(SCRIPTS.glob("*.py"))}


def get_all_outputs():
    """Everything that is kept, down to the first intermediate (see rule all)."""
    asked = ["interventions", *(stage for stage in NEEDED_BY if is_needed(stage))]
    made = {"source": ("weights", "arm.json", "training.parquet"), "api": ("arm.json", "training.parquet")}
    return [
        *get_host_cards().values(),
        *["results/spend.parquet"] * bool(HOSTED),
        *(card.replace("model.json", "weights") for card in get_model_cards().values()),
        *get_model_cards().values(),
        *get_question_files().values(),
        *(f"results/arms/{arm['model']}/{arm['arm']}/{name}" for arm in TUNED for name in made[KINDS[arm["model"]]]),
        *(path for stage in ("chains", "answers", "measures") for path in per_pair(stage)),
        *(path for stage in asked for path in per_pair(stage, kinds=ASKED)),
        "results/estimates.parquet",
        "results/changes.parquet",
        "results/claims.parquet",
        "results/provenance.json",
        *(f"results/tables/{table}.{suffix}" for table in tables.TABLES for suffix in ("parquet", "csv", "md", "tex")),
        *(f"results/figures/match_{eval_set}.svg" for eval_set in STUDY["eval_sets"]),
    ]
