rule tune:
    """An arm: a model tuned with one recipe on one training set."""
    input:
        unpack(get_card),
        weights="results/models/{model}/weights",
        questions=get_training_questions,
    output:
        weights=directory("results/arms/{model}/{arm}/weights"),
        card="results/arms/{model}/{arm}/arm.json",
        training="results/arms/{model}/{arm}/training.parquet",
    log:
        "logs/tune/{model}/{arm}.log",
    benchmark:
        "benchmarks/tune/{model}/{arm}.tsv"
    wildcard_constraints:
        model=models_of("source"),
    priority: 3
    conda:
        "../../envs/model.yaml"
    threads: get_tune_threads
    resources:
        gpu=GPUS,
    params:
        spec=lambda wc: {
            "training": get_arm(wc).training() | plan.loading(STUDY, wc.model),
            "templates": get_templates("cot", "no_cot"),
            "code": code("tune.py"),
        },
    script:
        "../scripts/tune.py"


rule merge:
    """A model that starts from a tuned arm: the arm's adapter merged into its base, and the new model's card."""
    input:
        unpack(get_start_files),
    output:
        weights=directory("results/models/{model}/weights"),
        card="results/models/{model}/model.json",
    log:
        "logs/merge/{model}.log",
    benchmark:
        "benchmarks/merge/{model}.tsv"
    wildcard_constraints:
        model="|".join(STARTS) or "-",
    priority: 3
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: plan.loading(STUDY, STARTS[wc.model].model)
        | {"arm": STARTS[wc.model].path, "code": code("merge.py")},
    script:
        "../scripts/merge.py"


rule tune_hosted:
    """An arm: a model tuned by its host's fine-tuning endpoint."""
    input:
        host="results/hosts/{model}.json",
        questions=get_training_questions,
    output:
        card="results/arms/{model}/{arm}/arm.json",
        training="results/arms/{model}/{arm}/training.parquet",
    log:
        "logs/tune_hosted/{model}/{arm}.log",
    benchmark:
        "benchmarks/tune_hosted/{model}/{arm}.tsv"
    wildcard_constraints:
        model=models_of("api"),
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "backend": plan.backend(STUDY, wc.model, BASE).model_dump(),
            "tuning": get_arm(wc).training(),
            "templates": get_templates("cot", "no_cot"),
            "code": code("tune_hosted.py"),
        },
    script:
        "../scripts/tune_hosted.py"
