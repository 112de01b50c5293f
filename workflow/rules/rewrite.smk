PARAPHRASER = STUDY.paraphraser.model
PARAPHRASER_FILES = get_files_of(PARAPHRASER) if PARAPHRASER else {}
# The paraphraser rewrites the chains of all arms, so its own kind decides whether a job needs a GPU.
PARAPHRASER_GPUS = get_gpus_of(PARAPHRASER)


rule paraphrase:
    """A paraphrase of each step of an arm's chains, by the frozen paraphraser."""
    input:
        **PARAPHRASER_FILES,
        questions=get_questions,
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
    output:
        "results/paraphrases/{model}/{arm}/{eval_set}{shard}.parquet",
    log:
        "logs/paraphrase/{model}/{arm}/{eval_set}{shard}.log",
    benchmark:
        "benchmarks/paraphrase/{model}/{arm}/{eval_set}{shard}.tsv"
    priority: 1
    localrule: PARAPHRASER in HOSTED
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=PARAPHRASER_GPUS,
    params:
        spec=lambda wc: {
            "backend": get_backend_of(PARAPHRASER, BASE),
            "division": get_block_params(wc),
            "paraphraser": STUDY.paraphraser.model_dump(),
            "templates": get_templates("paraphrase"),
            "code": code("paraphrase.py"),
        },
    script:
        "../scripts/paraphrase.py"


rule mistake:
    """A mistake in each step of an arm's chains, by the frozen paraphraser."""
    input:
        **PARAPHRASER_FILES,
        questions=get_questions,
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
    output:
        "results/mistakes/{model}/{arm}/{eval_set}{shard}.parquet",
    log:
        "logs/mistake/{model}/{arm}/{eval_set}{shard}.log",
    benchmark:
        "benchmarks/mistake/{model}/{arm}/{eval_set}{shard}.tsv"
    priority: 1
    localrule: PARAPHRASER in HOSTED
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=PARAPHRASER_GPUS,
    params:
        spec=lambda wc: {
            "backend": get_backend_of(PARAPHRASER, BASE),
            "division": get_block_params(wc),
            "paraphraser": STUDY.paraphraser.model_dump(),
            "templates": get_templates("mistake"),
            "code": code("mistake.py"),
        },
    script:
        "../scripts/mistake.py"


rule regenerate:
    """The rest of an arm's chains, regenerated after a mistake or after paraphrased steps."""
    input:
        unpack(get_arm_files),
        questions=get_questions,
        chains="results/chains/{model}/{arm}/{eval_set}.parquet",
        mistakes=branch(
            is_regenerated("mistakes"),
            then="results/mistakes/{model}/{arm}/{eval_set}.parquet",
            otherwise=[],
        ),
        paraphrases=branch(
            is_regenerated("paraphrases"),
            then="results/paraphrases/{model}/{arm}/{eval_set}.parquet",
            otherwise=[],
        ),
    output:
        "results/regenerations/{model}/{arm}/{eval_set}{shard}.parquet",
    log:
        "logs/regenerate/{model}/{arm}/{eval_set}{shard}.log",
    benchmark:
        "benchmarks/regenerate/{model}/{arm}/{eval_set}{shard}.tsv"
    priority: 1
    localrule: bool(HOSTED)
    conda:
        "../../envs/model.yaml"
    threads: STUDY.compute.threads
    resources:
        gpu=get_gpus,
    params:
        spec=lambda wc: {
            "backend": get_backend(wc),
            "division": get_block_params(wc),
            "max_new_tokens": STUDY.chains.max_new_tokens,
            "templates": get_templates("cot", of=wc.eval_set),
            "code": code("regenerate.py"),
        },
    script:
        "../scripts/regenerate.py"
