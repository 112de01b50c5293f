rule host:
    """A host's card: one call of a few tokens checks the host and model against the configuration."""
    input:
        unpack(get_card),
    output:
        "results/hosts/{model}.json",
    log:
        "logs/host/{model}.log",
    wildcard_constraints:
        model="|".join(HOSTED) or "-",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {"backend": plan.backend(STUDY, wc.model, BASE).model_dump(), "code": code("host.py")},
    script:
        "../scripts/host.py"


rule serve:
    """The command that serves a model of this study and its adapters; run it on the GPU machine before rule `host`."""
    input:
        unpack(get_card),
        arms=lambda wc: [f"results/arms/{arm.path}/arm.json" for arm in TUNED if arm.model == wc.model],
    output:
        "results/served/{model}.sh",
    log:
        "logs/serve/{model}.log",
    wildcard_constraints:
        model="|".join(HOSTED) or "-",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: model_settings.loading(STUDY, wc.model) | {"code": code("serve.py")},
    script:
        "../scripts/serve.py"
