# What is found inside arms (the section `probes`); the divergence also belongs to the curves of checkpoints.


rule probe:
    """What is found inside an arm: what its answers need to see, where they are decided, how far it is from base."""
    input:
        unpack(get_arm_files),
        unpack(get_probed_base),
        questions="results/questions/{eval_set}.eval.parquet",
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        answers="results/answers/{model}/{arm}/{eval_set}.parquet",
    output:
        "results/probes/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/probe/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/probe/{model}/{arm}/{eval_set}.tsv"
    wildcard_constraints:
        model="|".join(LOADED) or "-",
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: {
            "backend": get_backend(wc),
            "chains": STUDY.chains.model_dump(),
            "answers": STUDY.answers.model_dump(),
            "probes": get_probes(),
            "templates": get_templates("cot", "no_cot"),
            "code": code("probe.py"),
        },
    script:
        "../scripts/probe.py"


rule dose:
    """What a tuned arm answers with its adapter scaled, and switched off in places."""
    input:
        unpack(get_arm_files),
        questions="results/questions/{eval_set}.eval.parquet",
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        interventions="results/interventions/{model}/{arm}/{eval_set}.parquet",
        answers="results/answers/{model}/{arm}/{eval_set}.parquet",
    output:
        "results/dose/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/dose/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/dose/{model}/{arm}/{eval_set}.tsv"
    wildcard_constraints:
        model="|".join(LOADED) or "-",
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: model_settings.loading(STUDY, wc.model)
        | STUDY.probes.model_dump(include={"n", "scales"})
        | {
            "answers": STUDY.answers.model_dump(),
            "templates": get_templates("cot", "no_cot"),
            "code": code("dose.py"),
        },
    script:
        "../scripts/dose.py"


rule weights:
    """How far a tuning moved an arm's weights, by module and layer."""
    input:
        unpack(get_arm_files),
    output:
        "results/weights/{model}/{arm}.parquet",
    log:
        "logs/weights/{model}/{arm}.log",
    benchmark:
        "benchmarks/weights/{model}/{arm}.tsv"
    wildcard_constraints:
        model="|".join(LOADED) or "-",
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: model_settings.loading(STUDY, wc.model) | {"code": code("weights.py")},
    script:
        "../scripts/weights.py"


rule divergence:
    """How far the next tokens of a state of a training are from base's, on base's chains."""
    input:
        unpack(get_card),
        arm="results/arms/{model}/{arm}/arm.json",
        questions=get_followed_questions,
        chains=f"results/chains/{{model}}/{BASE}/{{eval_set}}.parquet",
    output:
        "results/divergence/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/divergence/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/divergence/{model}/{arm}/{eval_set}.tsv"
    wildcard_constraints:
        model="|".join(LOADED) or "-",
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: model_settings.loading(STUDY, wc.model)
        | {
            "base": list(get_card(wc)),
            "chains": STUDY.chains.model_dump(),
            "templates": get_templates("cot"),
            "code": code("divergence.py"),
        },
    script:
        "../scripts/divergence.py"
