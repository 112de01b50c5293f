rule measure:
    """Answers read at each kept fraction alpha."""
    input:
        questions="results/questions/{eval_set}.eval.parquet",
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        answers="results/answers/{model}/{arm}/{eval_set}.parquet",
    output:
        "results/measures/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/measure/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/measure/{model}/{arm}/{eval_set}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "alphas": STUDY["measures"]["alphas"],
            "code": code("measure.py"),
        },
    script:
        "../scripts/measure.py"


rule estimates:
    """Every figure of the study with its interval, one a row."""
    input:
        questions=expand("results/questions/{eval_set}.eval.parquet", eval_set=STUDY["eval_sets"]),
        chains=per_pair("chains"),
        paraphrases=per_pair("paraphrases", kinds=ASKED) if is_needed("paraphrases") else [],
        mistakes=per_pair("mistakes", kinds=ASKED) if is_needed("mistakes") else [],
        answers=per_pair("answers"),
        measures=per_pair("measures"),
    output:
        estimates="results/estimates.parquet",
        changes="results/changes.parquet",
    log:
        "logs/estimates.log",
    benchmark:
        "benchmarks/estimates/estimates.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: STUDY["measures"]
        | {
            "arms": ARMS,
            "eval_sets": STUDY["eval_sets"],
            "seed": STUDY["seed"],
            "code": code("estimates.py"),
        },
    script:
        "../scripts/estimates.py"
