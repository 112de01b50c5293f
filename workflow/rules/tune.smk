rule sample:
    """Chains of thought that a model draws for the training questions of a data set, for the target `own`."""
    input:
        unpack(get_card),
        questions="results/questions/{data_set}.train.parquet",
    output:
        "results/samples/{model}/{data_set}/{draws}.parquet",
    log:
        "logs/sample/{model}/{data_set}/{draws}.log",
    benchmark:
        "benchmarks/sample/{model}/{data_set}/{draws}.tsv"
    wildcard_constraints:
        model=models_of("source"),
    priority: 4
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=GPUS,  # also where a server runs the model: its weights are here, where it is tuned
    params:
        spec=lambda wc: model_settings.loading(STUDY, wc.model)
        | {
            "sampling": SAMPLED[f"{wc.model}/{wc.data_set}/{wc.draws}"].how.model_dump(),
            "n": SAMPLED[f"{wc.model}/{wc.data_set}/{wc.draws}"].n,
            "chains": STUDY.chains.model_dump(),
            "templates": get_templates("cot"),
            "code": code("sample.py"),
        },
    script:
        "../scripts/sample.py"


rule tune:
    """An arm: a model tuned with one recipe on one training set."""
    input:
        unpack(get_card),
        unpack(get_arm_samples),
        weights="results/models/{model}/weights",
        questions=get_training_questions,
    output:
        weights=directory("results/arms/{model}/{arm}/weights"),
        checkpoints=directory("results/arms/{model}/{arm}/checkpoints"),
        card="results/arms/{model}/{arm}/arm.json",
        training="results/arms/{model}/{arm}/training.parquet",
    log:
        "logs/tune/{model}/{arm}.log",
    benchmark:
        "benchmarks/tune/{model}/{arm}.tsv"
    wildcard_constraints:
        model=models_of("source"),
        arm=r"\w+-[\w+]+-\d+",  # others are handed in, or checkpoints
    priority: 3
    conda:
        "../../envs/model.yaml"
    threads: get_tune_threads
    resources:
        gpu=GPUS,
    params:
        spec=lambda wc: {
            "training": get_training(wc),
            "data": get_arm(wc).data.model_dump(),
            "checkpoints": get_places(wc),
            "templates": get_templates("cot", "no_cot"),
            "code": code("tune.py", f"faithtune.tuning.methods.{get_arm(wc).recipe.method}"),
        },
    script:
        "../scripts/tune.py"


rule checkpoint:
    """A state of a training on the way as an arm of its own: its card."""
    input:
        "results/arms/{model}/{arm}/checkpoints",
    output:
        "results/arms/{model}/{arm}@{place}/arm.json",
    log:
        "logs/checkpoint/{model}/{arm}@{place}.log",
    wildcard_constraints:
        model=models_of("source"),
        arm=r"\w+-[\w+]+-\d+",
        place=r"\d+(p\d+)?",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {"code": code("checkpoint.py")},
    script:
        "../scripts/checkpoint.py"


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
        spec=lambda wc: model_settings.loading(STUDY, STARTS[wc.model].model)
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
        arm=r"\w+-[\w+]+-\d+",  # others are handed in
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "backend": plan.backend(STUDY, wc.model, BASE).model_dump(),
            "tuning": get_arm(wc).training(),
            "data": get_arm(wc).data.model_dump(),
            "templates": get_templates("cot", "no_cot"),
            "code": code("tune_hosted.py"),
        },
    script:
        "../scripts/tune_hosted.py"


rule hosted_checkpoint:
    """A state that a host keeps of its training, after an epoch, as an arm of its own: its card."""
    input:
        "results/arms/{model}/{arm}/arm.json",
    output:
        "results/arms/{model}/{arm}@{place}/arm.json",
    log:
        "logs/hosted_checkpoint/{model}/{arm}@{place}.log",
    wildcard_constraints:
        model=models_of("api"),
        arm=r"\w+-[\w+]+-\d+",
        place=r"\d+",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {"code": code("hosted_checkpoint.py")},
    script:
        "../scripts/hosted_checkpoint.py"


rule hand_in:
    """The weights of an arm that was tuned elsewhere, and its card; they are checked against its base."""
    input:
        model="results/models/{model}/model.json",
        files=lambda wc: handed.files(get_handed(wc).source),
    output:
        weights=directory("results/arms/{model}/{arm}/weights"),
        card="results/arms/{model}/{arm}/handed.json",
    log:
        "logs/hand_in/{model}/{arm}.log",
    benchmark:
        "benchmarks/hand_in/{model}/{arm}.tsv"
    wildcard_constraints:
        arm="|".join(arm.name for arm in HANDED) or "-",
    priority: 3
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {"kind": get_handed(wc).kind, "source": get_handed(wc).source, "code": code("hand_in.py")},
    script:
        "../scripts/hand_in.py"


rule check_arm:
    """The card of an arm that was tuned elsewhere, once it is seen to change what its base predicts, and by how much."""
    input:
        unpack(get_card),
        arm="results/arms/{model}/{arm}/handed.json",
        questions=f"results/questions/{STUDY.eval_sets[0]}.eval.parquet",
    output:
        "results/arms/{model}/{arm}/arm.json",
    log:
        "logs/check_arm/{model}/{arm}.log",
    benchmark:
        "benchmarks/check_arm/{model}/{arm}.tsv"
    wildcard_constraints:
        arm="|".join(arm.name for arm in HANDED) or "-",
    priority: 3
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: model_settings.loading(STUDY, wc.model)
        | {
            "base": list(get_card(wc)),
            "eval_set": STUDY.eval_sets[0],
            "templates": get_templates("cot", "no_cot"),
            "code": code("check_arm.py"),
        },
    script:
        "../scripts/check_arm.py"
