rule table:
    """A table of the study: long as Parquet, laid out to be read as CSV, Markdown and LaTeX."""
    input:
        "results/estimates.parquet",
    output:
        parquet="results/tables/{table}.parquet",
        csv="results/tables/{table}.csv",
        md="results/tables/{table}.md",
        tex="results/tables/{table}.tex",
    log:
        "logs/table/{table}.log",
    benchmark:
        "benchmarks/table/{table}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "confidence": STUDY["measures"]["confidence"],
            "code": code("table.py"),
        },
    script:
        "../scripts/table.py"


rule figure:
    """Match against the kept fraction on one evaluation set, base and tuned."""
    input:
        lambda wc: per_pair("answers", wc.eval_set),
    output:
        svg=report(
            "results/figures/match_{eval_set}.svg",
            caption="../report/match.rst",
            category="Match",
        ),
        data="results/figures/match_{eval_set}.parquet",
    log:
        "logs/figure/{eval_set}.log",
    benchmark:
        "benchmarks/figure/{eval_set}.tsv"
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {key: STUDY["measures"][key] for key in ("confidence", "replicates")}
        | {"arms": ARMS, "seed": STUDY["seed"], "code": code("figure.py")},
    script:
        "../scripts/figure.py"
