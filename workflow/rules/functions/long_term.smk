# The functions of checkpoints, sequences, other forms and crossings: their files and parameters.


def get_curve_arms():
    """The arms of curves: checkpoints, the ends of their trainings, and their models as these were before."""
    shown = {(arm.model, name) for arm in CHECKPOINTS for name in (BASE, arm.training_name, arm.name)}
    return [arm for arm in ARMS if (arm.model, arm.name) in shown]


def get_followed_questions(wildcards):
    """The evaluation questions of the checkpoints of an arm's training."""
    return get_first_questions(wildcards.eval_set, FOLLOWED[wildcards.model, get_arm(wildcards).training_name].n)


def get_probed():
    """Arms and evaluation sets whose divergence from base is measured: trainings on the way, and their ends."""
    return [
        (arm, name)
        for arm in get_curve_arms()
        if (arm.model, arm.training_name) in FOLLOWED
        for name in FOLLOWED[arm.model, arm.training_name].eval_sets
    ]


def get_divergence_files():
    """The files of divergence, in the order of `get_probed`."""
    return [f"results/divergence/{arm.path}/{name}.parquet" for arm, name in get_probed()]


def get_courses():
    """The trainings with checkpoints: {model, arm (label), points: [{arm (label), place, card}]}; seeds share them.

    card: None of an arm that is not tuned here.
    """
    found = {}
    for arm in get_curve_arms():
        if arm.name == BASE:
            continue
        label = BY_NAME[arm.model, arm.training_name].label
        course = found.setdefault((arm.model, label), {"model": arm.model, "arm": label, "points": {}})
        card = f"results/arms/{arm.path}/arm.json" if arm.has_card else None
        course["points"].setdefault(arm.label, {"arm": arm.label, "place": arm.place or "end", "card": card})
    return [course | {"points": list(course["points"].values())} for course in found.values()]


def get_curves():
    """The files of curves; none if no checkpoint is measured."""
    return ["results/checkpoints/curves.parquet", "results/checkpoints/departures.parquet"] * bool(CHECKPOINTS)


def get_forgetting():
    """The file of what sequences of tunings forget; none if there is no sequence."""
    return ["results/forgetting.parquet"] * bool(SEQUENCES)


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


def get_crossings():
    """The files of all crossings."""
    return [f"results/crossed/{one.model}/{one.reader}/{one.writer}/{one.eval_set}.parquet" for one in CROSSINGS]


def get_own_answers():
    """The answers of the same arms after their own chains."""
    arms = dict.fromkeys((one.model, one.reader, one.eval_set) for one in CROSSINGS)
    return [f"results/answers/{model}/{arm}/{eval_set}.parquet" for model, arm, eval_set in arms]


def get_crossed_pairs():
    """The pairs of arms that read each other's chains: names, labels, seed and evaluation sets."""
    sets = {}
    for one in CROSSINGS:
        sets.setdefault((one.model, one.reader, one.writer), []).append(one.eval_set)
    found = []
    for pair in crossing.pairs(STUDY):
        against, arm = (BY_NAME[pair["model"], pair[name]] for name in ("against", "arm"))
        labels = {"against_label": against.label, "arm_label": arm.label, "seed": arm.seed}
        found.append(pair | labels | {"eval_sets": sets[pair["model"], pair["arm"], pair["against"]]})
    return found


def get_crossing():
    """The file of what crossings come to; none if there are none."""
    return ["results/crossing.parquet"] * bool(CROSSINGS)
