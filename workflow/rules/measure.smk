rule estimates:
    """Answers at each kept fraction alpha, and every estimate of the study with its interval, one per row."""
    input:
        questions=expand("results/questions/{eval_set}.eval.parquet", eval_set=STUDY.eval_sets),
        chains=get_stage_files("chains"),
        paraphrases=get_stage_files("paraphrases", kinds=ASKED) if is_needed("paraphrases") else [],
        mistakes=get_stage_files("mistakes", kinds=ASKED) if is_needed("mistakes") else [],
        answers=get_stage_files("answers"),
        applied=[f"results/arms/{arm.path}/arm.json" for arm in HANDED if arm.eval_sets],
    output:
        measures="results/measures.parquet",
        estimates="results/estimates.parquet",
        changes="results/changes.parquet",
    log:
        "logs/estimates.log",
    benchmark:
        "benchmarks/estimates/estimates.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "alphas": STUDY.measures.alphas,
            "sampling": get_sampling(),
            "arms": [arm.facts() for arm in MEASURED],
            "eval_sets": STUDY.eval_sets,
            "applied": [[arm.model, arm.label] for arm in HANDED if arm.eval_sets],
            "code": code("estimates.py"),
        },
    script:
        "../scripts/estimates.py"
