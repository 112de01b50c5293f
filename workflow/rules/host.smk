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


rule check_hosted:
    """The first rows of an arm at a host, which differ from its base's; the arm's stages find them in the row store."""
    input:
        unpack(get_arm_files),
        base=lambda wc: [] if wc.arm == BASE else f"results/first/{wc.model}/{BASE}.json",
        questions=f"results/questions/{STUDY.eval_sets[0]}.eval.parquet",
    output:
        "results/first/{model}/{arm}.json",
    log:
        "logs/check_hosted/{model}/{arm}.log",
    wildcard_constraints:
        model="|".join(COMPARED) or "-",
    priority: 3
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "backend": get_backend(wc),
            "eval_set": STUDY.eval_sets[0],
            "chains": STUDY.chains.model_dump(),
            "answers": STUDY.answers.model_dump(include={"max_new_tokens", "min_option_mass"}),
            "templates": get_templates("cot", "no_cot"),
            "code": code("check_hosted.py"),
        },
    script:
        "../scripts/check_hosted.py"


rule serve:
    """The command that serves a model of this study and its adapters; run it on the GPU machine before rule `host`."""
    input:
        unpack(get_card),
        arms=lambda wc: [f"results/arms/{arm.path}/arm.json" for arm in TUNED + CHECKPOINTS if arm.model == wc.model],
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
