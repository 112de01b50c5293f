rule estimate:
    """The forecast of calls to hosts and their cost, printed; no host is asked."""
    input:
        questions=list(get_forecast_questions().values()),
    output:
        "results/forecast.parquet",
    log:
        "logs/estimate.log",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "configuration": STUDY.model_dump(exclude={"compute"}),
            "questions": list(get_forecast_questions()),
            "templates": TEMPLATES,
            # Never up to date: the forecast depends on the chains, rows and spending that exist when it is printed.
            "now": time.time(),
        },
    script:
        "../scripts/estimate.py"


rule spend:
    """A copy of the spend ledger, after all calls to the study's hosts."""
    input:
        get_hosted_answers(),
    output:
        "results/spend.parquet",
    log:
        "logs/spend.log",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {"code": code("spend.py")},
    script:
        "../scripts/spend.py"
