"""How long the intervals of a study take: 20 units, 10,000 draws each, and one figure as scipy makes it.

    python tests/benchmarks/bootstrap.py [--units N] [--questions N] [--json FILE]

A unit is a tuned arm on an evaluation set: three tests at three α, ten figures each; every
fourth set has questions that share contexts, every fifth arm is pooled over three seeds. Some chains have
nothing to tamper with, so that cells differ in their number of questions (up to 6 % fewer), and some answers are
missing, so that figures do.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import contest  # puts the library on the path
import numpy as np
from scipy import stats

from faithtune.measures.stats import intervals, significance
from faithtune.measures.stats.intervals import Estimate, Sampling

SAMPLING = Sampling()
TESTS, ALPHAS = 3, 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--units", type=int, default=20)
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--json", type=Path, help="file for the result")
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    sizes = rng.integers(args.questions * 94 // 100, args.questions, (args.units, TESTS * ALPHAS), endpoint=True)
    cells = [Cell(rng, int(n), i) for i, row in enumerate(sizes) for n in row]
    before = time.process_time()
    figures, seconds = timed(lambda: [figure for cell in cells for figure in cell.figures()])
    cpu_seconds = time.process_time() - before
    corrected = significance.holm([figure.p for figure in figures])
    single = Cell(rng, args.questions, 1)
    values, groups = single.soft_changes, single.groups
    intervals.effect(values, groups, SAMPLING)  # the table of draws is made
    (own, own_seconds), (theirs, scipy_seconds) = (
        min((timed(work) for _ in range(5)), key=lambda one: one[1])
        for work in (lambda: intervals.effect(values, groups, SAMPLING), lambda: scipy_interval(values))
    )
    width = (own.high - own.low) / (theirs.high - theirs.low)
    result = {
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "figures": len(figures),
        "effects": sum(p is not None for p in corrected),
        "effect_seconds": own_seconds,
        "scipy_seconds": scipy_seconds,
        "ratio": scipy_seconds / own_seconds,
        "width_ratio": width,
    }
    contest.tell(result, args.json)
    print(
        f"{len(figures)} figures in {seconds:.1f} s ({cpu_seconds:.1f} s of a core); one soft effect"
        f" {result['ratio']:.0f} x as fast as scipy.stats.bootstrap, its interval {width:.3f} x as wide"
    )


class Cell:
    """Made-up answers of two arms in one cell: matches, soft matches and groups."""

    def __init__(self, rng: np.random.Generator, n: int, unit: int) -> None:
        self.rng = rng
        seeds = 3 if unit % 5 == 0 else 1
        contexts = np.arange(n) // 2 if unit % 4 == 0 else np.arange(n)
        self.groups, self.seeds = np.tile(contexts, seeds), np.repeat(np.arange(seeds), n)
        size = n * seeds
        self.base = rng.random(size) < 0.7
        self.tuned = np.where(rng.random(size) < 0.75, self.base, rng.random(size) < 0.55)  # one in eight changes
        self.soft = rng.beta(4, 1, size)
        self.soft_changes = np.clip(rng.normal(0, 0.1, size), -1, 1)
        self.answered = rng.random(size) < 0.97

    def figures(self) -> list[Estimate]:
        """Four shares and soft means, a normalised one and five effects."""
        changes = self.tuned.astype(float) - self.base
        everyone = np.ones(len(changes), dtype=bool)
        columns = np.column_stack([self.tuned, self.base]).astype(float)
        columns[~self.answered] = np.nan
        found = [self.make(intervals.share, self.tuned, self.answered)]
        found += [self.make(intervals.share, self.tuned | whether, everyone) for whether in (self.answered, everyone)]
        found += [self.make(intervals.mean, self.soft, everyone, bounds=(0.0, 1.0))]
        found += [
            intervals.function_of_means(
                columns, self.groups, SAMPLING, lambda m: (m[:, 0] - m[:, 1] / 4) / (1 - m[:, 1] / 4), seeds=self.seeds
            )
        ]
        for _ in range(4):
            found += [self.make(intervals.effect, changes, self.answered & (self.rng.random(len(changes)) < 0.99))]
        return [*found, self.make(intervals.effect, self.soft_changes, everyone)]

    def make(self, estimate: Callable, values: np.ndarray, chosen: np.ndarray, **options: object) -> Estimate:
        return estimate(np.where(chosen, values, np.nan), self.groups, SAMPLING, seeds=self.seeds, **options)


def scipy_interval(values: np.ndarray):
    """The percentile interval of unclustered values."""
    found = stats.bootstrap(
        (values,), np.mean, n_resamples=SAMPLING.replicates, method="percentile", rng=np.random.default_rng(0)
    )
    return found.confidence_interval


def timed(work: Callable) -> tuple:
    started = time.perf_counter()
    found = work()
    return found, time.perf_counter() - started


if __name__ == "__main__":
    main()
