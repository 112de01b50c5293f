"""How quick the item viewer stays: 20,000 questions of four arms, in a real browser, from the disk.

    python tests/benchmarks/viewing.py [--questions 20000]

Prints seconds, the median of a few: until the page first shows a question, to the next one, to ones far away, to
the questions that pass a filter, and (once) to the end of a search that finds nothing and so reads everything.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

TESTS = Path(__file__).parents[1]
sys.path[:0] = [str(TESTS.parent / "workflow/scripts"), str(TESTS), str(TESTS / "unit")]

import browser  # noqa: E402
import polars as pl  # noqa: E402

import viewed  # noqa: E402
from faithtune.report import viewer as items  # noqa: E402

ARMS = ("base", "qlora-a-1", "qlora-b-1", "qlora-c-1")
TEXT = "The shop sells 12 boxes of 30 pens each and gives away a third of them, so that 240 pens are left over. "


def write(folder: Path, n: int) -> Path:
    """A viewer of `n` questions, chains of five steps and three tests."""
    started = time.perf_counter()
    some = [viewed.pair(arm, 200) for arm in (0, 1)]
    asked = viewed.questions(200).with_columns(question=pl.lit(TEXT * 3), context=pl.lit(TEXT * 5))
    copies = n // 200

    def many(frame: pl.DataFrame) -> pl.DataFrame:
        numbered = (frame.with_columns(id=pl.format("{}_{}", "id", pl.lit(i))) for i in range(copies))
        return pl.concat(numbered)

    asked = many(asked)
    about = items.index("sums", ["sums"], asked, [{"model": "tiny", "arm": arm} for arm in ARMS], [0.25, 0.5, 0.75])
    viewer = items.ViewerWriter(folder, about)
    viewer.add_questions(items.question_rows(asked))
    for i, arm in enumerate(ARMS):
        one = some[i > 0]
        steps = pl.lit([TEXT + str(j) for j in range(5)])
        chains = one.chains.with_columns(steps=steps, n_steps=pl.lit(5, pl.Int32), text=pl.lit(TEXT * 5))
        viewer.add(items.ArmItems("tiny", arm, many(chains), many(one.interventions), many(one.answers)))
    size = sum(file.stat().st_size for file in folder.rglob("*.js"))
    took = time.perf_counter() - started
    print(f"{asked.height} questions, {len(ARMS)} arms: {size / 1e6:.0f} MB written in {took:.1f} s")
    return folder / "index.html"


def seconds(page, act, *arguments, wanted: str) -> float:
    """How long `act` takes until the page says where it is, in words that begin or end so."""
    before = time.perf_counter()
    act(*arguments)
    told = "document.getElementById('status').textContent"
    says = f"([wanted]) => {told}.startsWith(wanted) || {told}.endsWith(wanted)"
    page.wait_for_function(says, arg=[wanted], timeout=40_000)
    return time.perf_counter() - before


def show(what: str, times: Iterable[float]) -> None:
    print(f"{what:<20} {statistics.median(times):6.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=20_000)
    n = parser.parse_args().questions // 200 * 200  # copies of so many
    with tempfile.TemporaryDirectory() as folder, browser.browser() as chromium:
        file = write(Path(folder), n)
        opened = []
        for _ in range(5):
            before = time.perf_counter()
            with browser.page(chromium, file) as page:
                seconds(page, lambda: None, wanted=f"1 of {n}")
                opened.append(time.perf_counter() - before)
        show("first question", opened)
        with browser.page(chromium, file) as page:
            seconds(page, lambda: None, wanted=f"1 of {n}")
            show("next question", (seconds(page, page.keyboard.press, "j", wanted=f"{i} of {n}") for i in range(2, 7)))
            places = [n * i // 6 for i in range(1, 6)]
            jump = "place => { location.hash = address({ item: about.ids[place - 1] }); }"
            show("one far away", (seconds(page, page.evaluate, jump, i, wanted=f"{i} of {n}") for i in places))
            filters = {"x": f"of {n // 2} (all: {n})", "": f" of {n}"}
            show(
                "filter",
                (seconds(page, page.select_option, "#changed", key, wanted=filters[key]) for key in ["x", ""] * 3),
            )
            show("search to the end", [seconds(page, page.fill, "#find", "nowhere", wanted="0 of")])
            seconds(page, page.fill, "#find", "240 pens", wanted=f"{places[-1]} of {n}")  # all of them
            page.keyboard.press("Escape")  # out of the field
            following = (seconds(page, page.keyboard.press, "j", wanted=f"{places[-1] + i} of") for i in range(1, 6))
            show("next of those found", following)


if __name__ == "__main__":
    main()
