rule answer:
    """Interventions on an arm's chains at every k, and the arm's answer after each."""
    input:
        unpack(get_arm_files),
        questions=get_questions,
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        paraphrases=branch(
            is_needed("paraphrases"),
            then="results/paraphrases/{model}/{arm}/{eval_set}.parquet",
            otherwise=[],
        ),
        regenerations=branch(
            is_needed("regenerations"),
            then="results/regenerations/{model}/{arm}/{eval_set}.parquet",
            otherwise=[],
        ),
    output:
        interventions="results/interventions/{model}/{arm}/{eval_set}{shard}.parquet",
        answers="results/answers/{model}/{arm}/{eval_set}{shard}.parquet",
    log:
        "logs/answer/{model}/{arm}/{eval_set}{shard}.log",
    benchmark:
        "benchmarks/answer/{model}/{arm}/{eval_set}{shard}.tsv"
    wildcard_constraints:
        model=models_of(*ASKED),
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
            "interventions": STUDY.model_dump(include={"tests", "filler", "sweep"}),
            "counts": {"kind": KINDS[wc.model], "tokenizer": get_tokenizer(wc)},
            "answers": STUDY.answers.model_dump(),
            "templates": get_templates("cot", "no_cot", of=wc.eval_set),
            "code": code("answer.py"),
        },
    script:
        "../scripts/answer.py"
