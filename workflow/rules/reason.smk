rule chains:
    """An arm's chain of thought for each question of an evaluation set."""
    input:
        unpack(get_arm_files),
        questions="results/questions/{eval_set}.eval.parquet",
        templates=get_templates("cot"),
    output:
        "results/chains/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/chains/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/chains/{model}/{arm}/{eval_set}.tsv"
    conda:
        "../../envs/model.yaml"
    threads: STUDY["compute"]["threads"]
    params:
        spec=lambda wc: get_loading(wc.model) | STUDY["chains"] | {"code": code("chains.py")},
    script:
        "../scripts/chains.py"
