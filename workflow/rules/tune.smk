rule tune:
    """An arm: a model tuned by one recipe on one data set."""
    input:
        model="results/models/{model}/model.json",
        weights="results/models/{model}/weights",
        questions=lambda wc: f"results/questions/{get_arm(wc.model, wc.arm)['train_set']}.train.parquet",
        templates=get_templates("cot", "no_cot"),
    output:
        weights=directory("results/arms/{model}/{arm}/weights"),
        card="results/arms/{model}/{arm}/arm.json",
        training="results/arms/{model}/{arm}/training.parquet",
    log:
        "logs/tune/{model}/{arm}.log",
    benchmark:
        "benchmarks/tune/{model}/{arm}.tsv"
    conda:
        "../../envs/model.yaml"
    threads: STUDY["compute"]["tune_threads"]
    params:
        spec=lambda wc: study.loading(STUDY, wc.model)
        | study.tuning_spec(STUDY, get_arm(wc.model, wc.arm))
        | {"code": code("tune.py")},
    script:
        "../scripts/tune.py"
