# Evaluation sets in other forms (the section `shifts`); none by default.


def get_shift_files(stage):
    """The files of a stage for each arm and other form, in the order of the tables."""
    return [f"results/{stage}/{arm.path}/{name}.parquet" for arm, name in SHIFTED]


def get_shifts():
    """The file of what other forms change; none if there are none."""
    return ["results/shifts.parquet"] * bool(SHIFTED)


def get_shifted_answers():
    """The answers that are compared: of each arm in each form, and to the questions as they are."""
    as_they_are = [f"results/answers/{arm.path}/{STUDY.shifts[name].of}.parquet" for arm, name in SHIFTED]
    return [*dict.fromkeys(as_they_are), *get_shift_files("answers")]


def get_shifted_arms():
    """The tuned arms in each form: names, label and seed."""
    return [
        {"model": arm.model, "arm": arm.name, "label": arm.label, "seed": arm.seed, "shift": name}
        for arm, name in SHIFTED
        if arm.name != BASE
    ]


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
