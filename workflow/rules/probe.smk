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
