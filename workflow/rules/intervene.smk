PARAPHRASER = STUDY["paraphraser"]["model"]
PARAPHRASER_FILES = {"model": f"results/models/{PARAPHRASER}/model.json"} if KINDS.get(PARAPHRASER) == "source" else {}


rule paraphrase:
    """Each step of an arm's chains in other words, by the frozen paraphraser."""
    input:
        **PARAPHRASER_FILES,
        questions="results/questions/{eval_set}.eval.parquet",
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        templates=get_templates("paraphrase"),
    output:
        "results/paraphrases/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/paraphrase/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/paraphrase/{model}/{arm}/{eval_set}.tsv"
    conda:
        "../../envs/model.yaml"
    threads: STUDY["compute"]["threads"]
    params:
        spec=lambda wc: STUDY["paraphraser"]
        | {"backend": study.backend(STUDY, PARAPHRASER, study.BASE)}
        | {"code": code("paraphrase.py")},
    script:
        "../scripts/paraphrase.py"


rule intervene:
    """The chains tampered with, at every k; filler is counted in the measured model's tokens."""
    input:
        model=lambda wc: get_arm_files(wc).get("model", []),
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        paraphrases=branch(
            "paraphrase" in STUDY["tests"],
            then="results/paraphrases/{model}/{arm}/{eval_set}.parquet",
            otherwise=[],
        ),
    output:
        "results/interventions/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/intervene/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/intervene/{model}/{arm}/{eval_set}.tsv"
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "tests": STUDY["tests"],
            "filler": STUDY["filler"],
            "code": code("intervene.py"),
        },
    script:
        "../scripts/intervene.py"
