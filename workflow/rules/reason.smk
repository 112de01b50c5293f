rule chains:
    """An arm's chain of thought for each question of an evaluation set."""
    input:
        unpack(get_arm_files),
        unpack(get_first_rows),
        questions=get_questions,
    output:
        "results/chains/{model}/{arm}/{eval_set}{shard}.parquet",
    log:
        "logs/chains/{model}/{arm}/{eval_set}{shard}.log",
    benchmark:
        "benchmarks/chains/{model}/{arm}/{eval_set}{shard}.tsv"
    wildcard_constraints:
        model=models_of(*ASKED),
    priority: 2
    localrule: bool(HOSTED)
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: {
            "backend": get_backend(wc),
            "division": get_block_params(wc),
            "chains": STUDY.chains.model_dump(),
            "templates": get_templates("cot", of=wc.eval_set),
            "code": code("chains.py"),
        },
    script:
        "../scripts/chains.py"


rule import_chains:
    """Chains from a file, and the answers that they declare; no model is asked."""
    input:
        questions="results/questions/{eval_set}.eval.parquet",
        source=lambda wc: get_source_file(get_imported(wc)),
    output:
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        answers="results/answers/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/import_chains/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/import_chains/{model}/{arm}/{eval_set}.tsv"
    wildcard_constraints:
        model=models_of("chains"),
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {"file": get_imported(wc).model_dump(), "code": code("import_chains.py")},
    script:
        "../scripts/import_chains.py"
