"""An item viewer of a made-up study, whose texts are those of somebody who wants to run code in it."""

from pathlib import Path

import polars as pl

from faithtune.core.schemas.interventions import REGENERATIONS
from faithtune.core.schemas.probes import PROBES
from faithtune.interventions import build
from faithtune.interventions.registry import REGENERATED
from faithtune.report import viewer as items
from frames import (
    ALPHAS,
    TESTS,
    TRUNCATED,
    UNAVAILABLE,
    answer_rows,
    answers,
    chains_of,
    paraphrases_of,
    questions_of,
    tampering,
)

# What must be seen as it stands here, and run nowhere.
HOSTILE = (
    '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1"><svg onload=window.hacked=1>'
    '<a href="javascript:window.hacked=1">\'"&amp;${window.hacked=1}`\u2028\u2029\x00\x1b[31m<!--]]>\ud7ff\U0001f642'
)
N = 230
# The question of which the rest after a mistake is cut.
CUT = 11


def rows(arm: int, i: int) -> list[dict]:
    """Question i: the tuned arm (1) changes its answer below k = 2 where i is even, and is right where 3 divides i."""
    full = "A" if i % 3 == 0 else "B"
    cut = {"early_termination": ["C", "C", full], "filler": [None, full, full]} if arm and i % 2 == 0 else {}
    if i == 5:
        return answer_rows(f"q{i}", full, truncated=True)
    if i == 7:
        return answer_rows(f"q{i}", None)
    if i == CUT:
        cut = {"mistake": [TRUNCATED, TRUNCATED, full]}
    if i == 9:
        cut = {"paraphrase": [UNAVAILABLE, TRUNCATED, full]}
    anew = {"mistake": ["D", "D", full], "prefix_paraphrase": [full, full, "D" if arm and i % 2 == 0 else full]}
    first, *others = answer_rows(f"q{i}", full, "D", n=2, **anew | cut)
    return [first, first | {"test": "no_cot_shuffled"}, *others]


def pair(arm: int, n: int = N) -> items.ArmItems:
    """What base (0) or the tuned arm (1) came to."""
    frame = answers(*(rows(arm, i) for i in range(n)))
    frame = frame.with_columns(text=pl.lit(HOSTILE), probabilities=pl.lit([0.4, 0.3, 0.2, 0.1]))
    chains = chains_of(frame).with_columns(
        text=pl.lit(HOSTILE), steps=pl.lit([f"first {HOSTILE}", f"second, of arm {arm}"]), n_steps=pl.lit(2, pl.Int32)
    )
    begun = [("mistake", 0), ("mistake", 1), ("prefix_paraphrase", 1)]
    rest = [(f"q{i}", test, k, "", [f"begun {k}", "new"], 1, i != CUT) for i in range(n) for test, k in begun]
    regenerations = pl.DataFrame(rest, schema=REGENERATIONS, orient="row")
    settings = tampering((*TESTS, *REGENERATED), HOSTILE)
    made = build.build(chains, settings, lambda text: len(text.split()), paraphrases_of(frame), regenerations)
    return items.ArmItems("tiny", ["base", "qlora-sums-1"][arm], chains, made, frame)


def questions(n: int = N) -> pl.DataFrame:
    """Questions of which each says its number."""
    frame = questions_of(pair(0, n).answers)
    return frame.with_columns(
        question=pl.format("{} number {}", pl.lit(HOSTILE), pl.int_range(n)),
        context=pl.lit(HOSTILE),
        rationale=pl.lit(HOSTILE),
        options=pl.lit([HOSTILE, "b", "c", "d"]),
    )


def probes(arm: int, n: int, number: str = "js") -> pl.DataFrame:
    """PROBES of the first n questions, whose chains have two steps, by a network of three layers; `number`: js | log_p.

    At step k hiding the chain changes the tuned arm's answer (of base's only at k = 2) by k / 10 in `number`, and
    hiding the question changes nothing; one control is unanswered, the other has nothing to compare with.
    """
    rows = []
    for i in range(n):

        def add(measure: str, value: float | None, of: str = f"q{i}", **where) -> None:
            rows.append({"id": of, "measure": measure, "value": value} | where)

        def cut(kind: str, part: str, k: int, changed: float | None, value: float, outcome: str = "answered") -> None:
            add(f"{kind}_changed", changed, part=part, k=k, outcome=outcome)
            add(f"{kind}_{number}", value, part=part, k=k)

        for k in (1, 2):
            cut("knockout", "chain", k, float(bool(arm) or k == 2), k / 10)
            cut("knockout", "question", k, 0.0, 0.0)
            cut("knockout", "random_chain", k, None, 0.02, "unanswered")
            cut("knockout", "random_question", k, None, 0.03)
            cut("removal", "chain", k, 1.0, k / 5)
            cut("removal", "question", k, 0.0, 0.04)
        # A window of layers alone, and single heads of the arm as a whole: not shown.
        add("knockout_changed", 1.0, part="question", k=2, layer=0, last_layer=1, outcome="answered")
        add("attention", 0.9, of=None, part="question", layer=0, head=0)
        add("kl", 0.5)
        shares = {("first", None): 0.5, ("template", None): 0.05, ("prompt", None): 0.05, ("question", None): 0.1}
        shares |= {("step", 1): 0.04, ("step", 2): 0.16, ("cue", None): 0.1}
        for (part, k), share in shares.items():
            add("tokens", 20.0, part=part, k=k)
            for layer in range(3):  # their mean is the share
                add("attention", share * (0.5 + layer / 2), part=part, k=k, layer=layer)
                add("attention_weighted", 0.7, part=part, k=k, layer=layer)
        decided = {("before", None): None, ("step", 1): None, ("step", 2): 2.0, ("cue", None): 1.0}
        for j, ((part, k), first) in enumerate(decided.items()):
            add("decision_layer", first, part=part, k=k)
            for layer in range(4):  # 0: the embeddings
                add("lens_p", (j + 1) * layer / 20 + arm / 4, part=part, k=k, layer=layer)
    return pl.DataFrame(rows, schema=PROBES)


def write(folder: Path) -> Path:
    """The viewer's page in `folder`, and one of another set beside it, with fewer questions."""
    for name, n in {"sums": N, "colours": 3}.items():
        _write_set(folder / "items" / name, ["sums", "colours"], [pair(arm, n) for arm in (0, 1)], n)
    return folder / "items/sums/index.html"


def write_probed(folder: Path, number: str = "js") -> Path:
    """The page of a set of four questions, into the first three of which probes looked."""
    pairs = [pair(arm, 4)._replace(probes=probes(arm, 3, number)) for arm in (0, 1)]
    return _write_set(folder / "items/probed", ["probed"], pairs, 4)


def _write_set(of_set: Path, names: list[str], pairs: list[items.ArmItems], n: int) -> Path:
    of_set.mkdir(parents=True)
    asked = questions(n)
    arms = [{"model": one.model, "arm": one.arm} for one in pairs]
    viewer = items.ViewerWriter(of_set, items.index(of_set.name, names, asked, arms, ALPHAS))
    viewer.add_questions(items.question_rows(asked))
    for one in pairs:
        viewer.add(one)
    return of_set / "index.html"
