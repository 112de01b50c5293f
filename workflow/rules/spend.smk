rule estimate:
    """What hosts will be asked and what that costs, printed; nothing is asked."""
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
            # Never up to date: it is asked for to be printed, and reads what there is of chains, rows and spending.
            "now": time.time(),
        },
    script:
        "../scripts/estimate.py"


rule spend:
    """The spend ledger, when all of a study's hosts have been asked."""
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
