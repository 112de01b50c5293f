# Evaluation sets in other forms (the section `shifts`); none by default.


rule shift:
    """The questions of an evaluation set, as they are asked in another form."""
    input:
        lambda wc: f"results/questions/{STUDY.shifts[wc.shift].of}.eval.parquet",
    output:
        "results/questions/{shift}.eval.parquet",
    log:
        "logs/shift/{shift}.log",
    wildcard_constraints:
        shift="|".join(STUDY.shifts) or "-",
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {"options": STUDY.shifts[wc.shift].options, "code": code("shift.py")},
    script:
        "../scripts/shift.py"


rule shifts:
    """What another form of the questions changes in base and in the tuned arms."""
    input:
        get_shifted_answers(),
    output:
        "results/shifts.parquet",
    log:
        "logs/shifts.log",
    benchmark:
        "benchmarks/shifts/shifts.tsv"
    localrule: True
    conda:
        "../../envs/analysis.yaml"
    params:
        spec=lambda wc: {
            "alphas": STUDY.measures.alphas,
            "sampling": get_sampling(),
            "arms": get_shifted_arms(),
            "sets": {name: shift.of for name, shift in STUDY.shifts.items()},
            "code": code("shifts.py"),
        },
    script:
        "../scripts/shifts.py"
