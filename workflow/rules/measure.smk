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
        spec=lambda wc: get_estimates_spec(MEASURED),
    script:
        "../scripts/estimates.py"


use rule estimates as estimates_of_checkpoints with:
    input:
        questions=expand("results/questions/{eval_set}.eval.parquet", eval_set=STUDY.eval_sets),
        chains=get_stage_files("chains", arms=get_curve_arms()),
        paraphrases=(
            get_stage_files("paraphrases", kinds=ASKED, arms=get_curve_arms()) if is_needed("paraphrases") else []
        ),
        mistakes=get_stage_files("mistakes", kinds=ASKED, arms=get_curve_arms()) if is_needed("mistakes") else [],
        answers=get_stage_files("answers", arms=get_curve_arms()),
    output:
        measures="results/checkpoints/measures.parquet",
        estimates="results/checkpoints/estimates.parquet",
        changes="results/checkpoints/changes.parquet",
    log:
        "logs/estimates_of_checkpoints.log",
    benchmark:
        "benchmarks/estimates/checkpoints.tsv"
    params:
        spec=lambda wc: get_estimates_spec(get_curve_arms()),


rule curves:
    """What changed from base at each checkpoint of a training, and what left base first."""
    input:
        changes="results/checkpoints/changes.parquet",
        cards=[point["card"] for course in get_courses() for point in course["points"] if point["card"]],
        divergence=get_divergence_files(),
    output:
        curves="results/checkpoints/curves.parquet",
        departures="results/checkpoints/departures.parquet",
    log:
        "logs/curves.log",
    benchmark:
        "benchmarks/curves/curves.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "sampling": get_sampling(),
            "margin": STUDY.measures.margin,
            "courses": get_courses(),
            "probed": [[arm.model, arm.label, name] for arm, name in get_probed()],
            "code": code("curves.py"),
        },
    script:
        "../scripts/curves.py"


rule forgetting:
    """What tunings that follow one another forget and transfer."""
    input:
        changes="results/changes.parquet",
        estimates="results/estimates.parquet",
        measures="results/measures.parquet",
    output:
        "results/forgetting.parquet",
    log:
        "logs/forgetting.log",
    benchmark:
        "benchmarks/forgetting/forgetting.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "sampling": get_sampling(),
            "sequences": SEQUENCES,
            "arms": [{"model": arm.model, "arm": arm.name, "label": arm.label, "seed": arm.seed} for arm in MEASURED],
            "code": code("forgetting.py"),
        },
    script:
        "../scripts/forgetting.py"


rule generalisation:
    """What tunings changed in and out of the domains of their training sets."""
    input:
        changes="results/changes.parquet",
    output:
        "results/generalisation.parquet",
    log:
        "logs/generalisation.log",
    benchmark:
        "benchmarks/generalisation/generalisation.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "sampling": get_sampling(),
            "arms": [{name: arm[name] for name in ("model", "arm", "train_set")} for arm in TABLE_ARMS],
            "domains": plan.domains(STUDY),
            "code": code("generalisation.py"),
        },
    script:
        "../scripts/generalisation.py"


rule inside:
    """What the probes of arms come to, and which of it goes with changes of their answers."""
    input:
        changes="results/changes.parquet",
        questions=[f"results/questions/{name}.eval.parquet" for name in get_probed_sets()],
        answers=get_decoded_answers(),
        probes=get_probe_files(),
        dose=get_dose_files(),
        weights=get_weight_files(),
    output:
        inside="results/inside.parquet",
        correlations="results/inside_correlations.parquet",
    log:
        "logs/inside.log",
    benchmark:
        "benchmarks/inside/inside.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: get_probed_arms()
        | {"alphas": STUDY.measures.alphas, "sampling": get_sampling(), "code": code("inside.py")},
    script:
        "../scripts/inside.py"
