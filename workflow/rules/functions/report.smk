# The functions of the report: what tables and figures are made from, and what a run prints.


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


def get_imported_files():
    """MODEL/ARM/SET -> imported file of chains."""
    return {
        f"{arm.path}/{name}": get_source_file(STUDY.models[arm.model].chains[arm.name][name])
        for arm in ARMS
        if KINDS[arm.model] == "chains"
        for name in arm.eval_sets
    }


def get_local_data():
    """The local files of questions; table T10 shows their hashes."""
    return sorted(
        {part["source"] for part in get_data_parts() if part["source"] and sources.parse(part["source"]).kind == "file"}
    )


# Name in `Source.inputs` of a table or figure -> the files it stands for.
REPORT_FILES = {
    "answers": lambda wc: get_stage_files("answers", figures.eval_set(wc.figure)),
    "arms": lambda wc: list(get_arm_cards().values()),
    "chains": lambda wc: get_stage_files("chains"),
    "claims": lambda wc: ["results/claims.parquet"],
    "crossing": lambda wc: get_crossing(),
    "curves": lambda wc: get_curves()[:1],
    "estimates": lambda wc: ["results/estimates.parquet"],
    "forgetting": lambda wc: get_forgetting(),
    "generalisation": lambda wc: ["results/generalisation.parquet"],
    "inside": lambda wc: get_inside()[:1],
    "inside_correlations": lambda wc: get_inside()[1:],
    "models": lambda wc: list(get_model_cards().values()),
    "questions": lambda wc: list(get_question_files().values()),
    "recipes": lambda wc: ["results/recipes.parquet"],
    "shifts": lambda wc: get_shifts(),
    "sources": lambda wc: get_local_data(),
    "spend": lambda wc: ["results/spend.parquet"] * bool(HOSTED),
    "verdict": lambda wc: ["results/verdict.json"],
    "training": lambda wc: [f"results/arms/{arm.path}/training.parquet" for arm in TUNED],
}


def get_table_input(wildcards):
    """The files that a table is made from, besides its provenance."""
    return {name: REPORT_FILES[name](wildcards) for name in tables.TABLES[wildcards.table].source.inputs}


def get_figure_input(wildcards):
    """The files that the points of a figure are made from."""
    return {name: REPORT_FILES[name](wildcards) for name in figures.figure(wildcards.figure).source.inputs}


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
