rule answer:
    """What an arm answers after every intervention."""
    input:
        unpack(get_arm_files),
        questions="results/questions/{eval_set}.eval.parquet",
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        interventions="results/interventions/{model}/{arm}/{eval_set}.parquet",
        templates=get_templates("cot", "no_cot"),
    output:
        "results/answers/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/answer/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/answer/{model}/{arm}/{eval_set}.tsv"
    wildcard_constraints:
        model=models_of(*ASKED),
    conda:
        "../../envs/model.yaml"
    threads: STUDY["compute"]["threads"]
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: get_backend(wc) | STUDY["answers"] | {"code": code("answer.py")},
    script:
        "../scripts/answer.py"
