# A set that is divided over several jobs is gathered from its shards.
ruleorder: gather > chains > paraphrase > mistake > regenerate > answer


rule gather:
    """One file of a stage, joined from the shards of several jobs."""
    input:
        questions="results/questions/{eval_set}.eval.parquet",
        shards=get_shards,
    output:
        "results/{stage}/{model}/{arm}/{eval_set}.parquet",
    log:
        "logs/gather/{stage}/{model}/{arm}/{eval_set}.log",
    benchmark:
        "benchmarks/gather/{stage}/{model}/{arm}/{eval_set}.tsv"
    wildcard_constraints:
        stage="|".join(SHARED),
        model="|".join(LOADED) or "-",
        eval_set="|".join(SHARDS) or "-",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {"code": code("gather.py")},
    script:
        "../scripts/gather.py"
