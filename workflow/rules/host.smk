rule host:
    """What a host says of a model and of itself: held to the configuration by one call of a few tokens."""
    output:
        "results/hosts/{model}.json",
    log:
        "logs/host/{model}.log",
    wildcard_constraints:
        model=models_of("api"),
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: study.backend(STUDY, wc.model, study.BASE)["api"] | {"code": code("host.py")},
    script:
        "../scripts/host.py"
