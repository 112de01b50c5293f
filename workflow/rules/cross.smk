# Arms answer after the chains of other arms (the section `crossing`); none do by default.


rule cross:
    """An arm's answers after the chains of another arm, whole and tampered with."""
    input:
        unpack(get_arm_files),
        questions=lambda wc: get_first_questions(wc.eval_set, STUDY.crossing.n),
        chains="results/chains/{model}/{writer}/{eval_set}.parquet",
        interventions="results/interventions/{model}/{writer}/{eval_set}.parquet",
        # Where both arms wrote the same chain, its rows are there.
        own="results/answers/{model}/{arm}/{eval_set}.parquet",
    output:
        "results/crossed/{model}/{arm}/{writer}/{eval_set}.parquet",
    log:
        "logs/cross/{model}/{arm}/{writer}/{eval_set}.log",
    benchmark:
        "benchmarks/cross/{model}/{arm}/{writer}/{eval_set}.tsv"
    wildcard_constraints:
        model=models_of(*ASKED),
        writer="[a-z0-9_+-]+",
    localrule: bool(HOSTED)
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: {
            "backend": get_backend(wc),
            "answers": STUDY.answers.model_dump() | {"again": 0, "shuffle": False},
            "templates": get_templates("cot", "no_cot"),
            "code": code("cross.py"),
        },
    script:
        "../scripts/cross.py"


rule crossing:
    """What the chains of tuned arms, and what their reading of chains, contribute to a change."""
    input:
        crossed=get_crossings(),
        own=get_own_answers(),
    output:
        "results/crossing.parquet",
    log:
        "logs/crossing.log",
    benchmark:
        "benchmarks/crossing/crossing.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "alphas": STUDY.measures.alphas,
            "sampling": get_sampling(),
            "pairs": get_crossed_pairs(),
            "code": code("crossing.py"),
        },
    script:
        "../scripts/crossing.py"
