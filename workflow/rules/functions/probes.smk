# The functions of probes: files and parameters.


def get_probed_base(wildcards):
    """The chains and answers of base, with which a tuned arm is compared inside."""
    if wildcards.arm == BASE:
        return {}
    return {
        f"base_{stage}": f"results/{stage}/{wildcards.model}/{BASE}/{wildcards.eval_set}.parquet"
        for stage in ("chains", "answers")
    }


def get_probe_files(eval_set=None):
    """The files of probes, of one evaluation set or of all, in the order of the tables."""
    looked_at = get_looked_at("knockout", "lens", "linear", "attention", "distance")
    return [f"results/probes/{arm.path}/{name}.parquet" for arm, name in looked_at if eval_set in (None, name)]


def get_dose_files():
    """The files of answers with adapters scaled."""
    return [f"results/dose/{arm.path}/{name}.parquet" for arm, name in get_looked_at("dose") if arm.has_card]


def get_decoded_answers():
    """The answers that linear probes are to find."""
    return [f"results/answers/{arm.path}/{name}.parquet" for arm, name in get_looked_at("linear")]


def get_weight_files():
    """The files of how far tunings moved weights."""
    arms = dict.fromkeys(arm.path for arm, _ in get_looked_at("weights") if arm.has_card)
    return [f"results/weights/{path}.parquet" for path in arms]


def get_looked_at(*looks):
    """Each arm with the evaluation sets, if one of the looks is wanted."""
    return PROBED if PROBED and not set(looks).isdisjoint(STUDY.probes.looks) else []


def get_probed_sets():
    """The evaluation sets on which arms are looked into."""
    asked = {name for _, name in PROBED}
    return [name for name in STUDY.eval_sets if name in asked]


def get_probed_arms():
    """The arms that are looked into, with the sets on which they are, and all these sets; {} if there are none."""
    sets = {}
    for arm, name in PROBED:
        sets.setdefault((arm.model, arm.name), []).append(name)
    arms = [BY_NAME[key].facts() | {"eval_sets": names} for key, names in sets.items()]
    return {"arms": arms, "eval_sets": get_probed_sets()} if arms else {}


def get_inside():
    """The files of estimates of probes and of their correlations; none without probes."""
    return ["results/inside.parquet", "results/inside_correlations.parquet"] * bool(PROBED)


def get_probes():
    """What the rule probe looks at; doses and weights have rules of their own."""
    looks = [look for look in STUDY.probes.looks if look not in ("dose", "weights")]
    return STUDY.probes.model_dump(include={"n", "windows"}) | {"looks": looks}
