"""An item viewer of a made-up study, whose texts are those of somebody who wants to run code in it."""

from pathlib import Path

import polars as pl

from faithtune.core.schemas.interventions import REGENERATIONS
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


def write(folder: Path) -> Path:
    """The viewer's page in `folder`, and one of another set beside it, with fewer questions."""
    for name, n in {"sums": N, "colours": 3}.items():
        of_set = folder / "items" / name
        of_set.mkdir(parents=True)
        pairs = [pair(arm, n) for arm in (0, 1)]
        asked = questions(n)
        about = items.index(name, ["sums", "colours"], asked, [one._asdict() for one in pairs], ALPHAS)
        viewer = items.ViewerWriter(of_set, about)
        viewer.add_questions(items.question_rows(asked))
        for one in pairs:
            viewer.add(one)
    return folder / "items/sums/index.html"
