rule claims:
    """The paper's claims, tested on this study, and two of the inside of arms where it looks there."""
    input:
        changes="results/changes.parquet",
        models=list(get_model_cards().values()),
        probes=get_probe_files(),
        inside=get_inside(),
        questions=[f"results/questions/{name}.eval.parquet" for name in get_probed_sets()],
    output:
        "results/claims.parquet",
    log:
        "logs/claims.log",
    benchmark:
        "benchmarks/claims/claims.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "sampling": get_sampling(),
            "arms": compared.headline_arms(STUDY),
            "models": list(get_model_cards()),
            "parameters": {name: model.parameters for name, model in STUDY.models.items()},
            "reasoning": plan.has_worked_solutions(STUDY),
            "turns": plan.answer_modes(STUDY),
            "probed": get_probed_arms(),
            "code": code("claims.py"),
        },
    script:
        "../scripts/claims.py"


rule recipes:
    """What the tuned arms of each model changed, side by side."""
    input:
        changes="results/changes.parquet",
    output:
        "results/recipes.parquet",
    log:
        "logs/recipes.log",
    benchmark:
        "benchmarks/recipes/recipes.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "sampling": get_sampling(),
            "arms": TABLE_ARMS,
            "reference": STUDY.measures.reference,
            "code": code("recipes.py"),
        },
    script:
        "../scripts/recipes.py"


rule verdict:
    """What tuning did to each arm, in words that follow from intervals: the head of the report."""
    input:
        estimates="results/estimates.parquet",
        changes="results/changes.parquet",
        recipes="results/recipes.parquet",
        curves=get_curves(),
        forgetting=get_forgetting(),
        shifts=get_shifts(),
        crossing=get_crossing(),
        inside=get_inside()[:1],
    output:
        json="results/verdict.json",
        md="results/verdict.md",
    log:
        "logs/verdict.log",
    benchmark:
        "benchmarks/verdict/verdict.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "sampling": get_sampling(),
            "margin": STUDY.measures.margin,
            "arms": TABLE_ARMS,
            "turns": plan.answer_modes(STUDY),
            "code": code("verdict.py"),
        },
    script:
        "../scripts/verdict.py"


rule provenance:
    """The provenance of the results: code, configuration, data, prompts, weights, packages, hardware."""
    input:
        questions=list(get_question_files().values()),
        models=list(get_model_cards().values()),
        arms=list(get_arm_cards().values()),
        hosts=list(get_host_cards().values()),
        imported=list(get_imported_files().values()),
        precision=get_precision(),
    output:
        "results/provenance.json",
    log:
        "logs/provenance.log",
    benchmark:
        "benchmarks/provenance/provenance.tsv"
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "configuration": provenance.public(plan.result_relevant(STUDY)),  # wherever things lie
            "questions": list(get_question_files()),
            "templates": TEMPLATE_FILES,
            "models": list(get_model_cards()),
            "arms": list(get_arm_cards()),
            "hosts": list(get_host_cards()),
            "imported": list(get_imported_files()),
            "published": PUBLISHED_SHA256,
            "code": get_whole_code(),
        },
    script:
        "../scripts/provenance.py"


rule table:
    """A table of the study: long form as Parquet, laid out as CSV, Markdown and LaTeX."""
    input:
        unpack(get_table_input),
        provenance="results/provenance.json",
    output:
        parquet="results/tables/{table}.parquet",
        csv="results/tables/{table}.csv",
        md="results/tables/{table}.md",
        tex="results/tables/{table}.tex",
    log:
        "logs/table/{table}.log",
    benchmark:
        "benchmarks/table/{table}.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "confidence": STUDY.measures.confidence,
            "counts_whole": STUDY.measures.kept_whole == "counted",
            "arms": TABLE_ARMS,
            "tuned": get_trainings(),
            "models": list(get_model_cards()),
            "parameters": {name: model.parameters for name, model in STUDY.models.items()},
            "turns": plan.answer_modes(STUDY),
            "data": get_data_parts(),
            "filler": STUDY.filler,
            "templates": TEMPLATE_FILES if tables.TABLES[wc.table].source is table_sources.PROMPTS else {},
            "published": PUBLISHED,
            "code": code("table.py"),
        },
    script:
        "../scripts/table.py"


rule figure:
    """A figure of the study or of one evaluation set, and the points that it shows."""
    input:
        unpack(get_figure_input),
    output:
        svg=report(
            "results/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="2 Figures, one by one",
            labels=lambda wc: {"figure": figures.figure(wc.figure).title},
        ),
        data="results/figures/{figure}.parquet",
    log:
        "logs/figure/{figure}.log",
    benchmark:
        "benchmarks/figure/{figure}.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: get_figure_spec(wc.figure),
    script:
        "../scripts/figure.py"


rule report:
    """The study on one page: the verdict, claims, figures, tables, prompts, provenance, run times."""
    input:
        verdict="results/verdict.json",
        tables=expand("results/tables/{table}.parquet", table=tables.TABLES),
        figures=expand("results/figures/{figure}.svg", figure=figures.names(STUDY.eval_sets)),
        models=list(get_model_cards().values()),
        provenance="results/provenance.json",
    output:
        report("results/report/index.html", caption="../report/page.rst", category="1 The study, its verdict first"),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report/report.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "confidence": STUDY.measures.confidence,
            "counts_whole": STUDY.measures.kept_whole == "counted",
            "arms": TABLE_ARMS,
            "models": list(get_model_cards()),
            "parameters": {name: model.parameters for name, model in STUDY.models.items()},
            "turns": plan.answer_modes(STUDY),
            "templates": TEMPLATE_FILES,
            "page": PAGE_SHA256,
            "benchmarks": get_place("benchmarks"),
            "code": code("report.py"),
        },
    script:
        "../scripts/report.py"


rule items:
    """The item viewer of one evaluation set: every question, chain, intervention and answer."""
    input:
        questions="results/questions/{eval_set}.eval.parquet",
        chains=lambda wc: get_stage_files("chains", wc.eval_set),
        interventions=lambda wc: get_stage_files("interventions", wc.eval_set, kinds=ASKED),
        answers=lambda wc: get_stage_files("answers", wc.eval_set),
        probes=lambda wc: get_probe_files(wc.eval_set),
    output:
        directory("results/report/items/{eval_set}"),
    log:
        "logs/items/{eval_set}.log",
    benchmark:
        "benchmarks/items/{eval_set}.tsv"
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "eval_sets": STUDY.eval_sets,
            "arms": [{"model": arm.model, "arm": arm.name} for arm in WHOLE if wc.eval_set in arm.eval_sets],
            "alphas": STUDY.measures.alphas,
            "page": VIEWER_SHA256,
            "code": code("items.py"),
        },
    script:
        "../scripts/items.py"
