"""How often the study's 95 % intervals contain the truth, over a grid of made-up studies.

    python tests/benchmarks/intervals.py [--runs N] [--sizes N ...] [--only WORD]

A line is a kind of figure: for each number of groups the share of intervals (%) that hold the truth,
with their mean width; where the truth is no effect also the shares of p under 0.05 and 0.01 (%).
"""

import argparse
from collections.abc import Callable

import contest  # noqa: F401 - puts the library on the path
import numpy as np

from faithtune.measures.stats import intervals
from faithtune.measures.stats.intervals import Estimate, Sampling

Run = Callable[[np.random.Generator, int], Estimate]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 100, 200], help="groups")
    parser.add_argument("--only", default="", help="figures whose name holds this word")
    args = parser.parse_args()
    print("| figure | " + " | ".join(map(str, args.sizes)) + " |\n|---|" + "---|" * len(args.sizes))
    for name, (run, truth) in figures().items():
        if args.only in name:
            cells = [told(measure(run, truth, n, args.runs), truth, name) for n in args.sizes]
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def measure(run: Run, truth: float, n: int, runs: int) -> dict[str, float]:
    """Shares of the intervals that hold `truth`, of p under 0.05 and 0.01, and the mean width."""
    found = [run(np.random.default_rng((n, i)), n) for i in range(runs)]
    held = [e.low - 1e-9 <= truth <= e.high + 1e-9 for e in found]
    p = np.array([1.0 if e.p is None else e.p for e in found])
    return {
        "coverage": float(np.mean(held)),
        "width": float(np.mean([e.high - e.low for e in found])),
        "positive": float(np.mean(p < 0.05)),
        "positive_01": float(np.mean(p < 0.01)),
    }


def told(found: dict[str, float], truth: float, name: str) -> str:
    text = f"{100 * found['coverage']:.1f} ({found['width']:.3f})"
    tests = truth == 0 and "effect" in name
    return text + (f" p {100 * found['positive']:.1f}/{100 * found['positive_01']:.1f}" if tests else "")


def figures() -> dict[str, tuple[Run, float]]:
    """Each figure's name, how one is made of random numbers and a number of groups, and its truth."""
    found = {}
    for rate in (0.02, 0.1, 0.5, 0.9, 0.98):
        found[f"share {rate}, single questions"] = (share(rate, 1, 0), rate)
        found[f"share {rate}, groups of 1–4, ICC 0.5"] = (share(rate, 4, 0.5), rate)
    for up, down in (
        (0.02, 0.02),
        (0.05, 0.05),
        (0.2, 0.2),
        (0.05, 0),
        (0.1, 0.02),
        (0.2, 0.02),
        (0.3, 0.1),
        (0.6, 0.1),
    ):
        for size, icc in ((1, 0), (4, 0), (4, 1)):
            kind = f"groups of 1–4, ICC {icc}" if size > 1 else "single questions"
            found[f"effect +{up} −{down}, {kind}"] = (effect(changes(up, down, size, icc)), up - down)
    found["soft effect, normal"] = (effect(soft(lambda rng, n: rng.normal(0, 0.1, n))), 0.0)
    skewed = soft(lambda rng, n: np.where(rng.random(n) < 0.1, rng.random(n), rng.normal(0, 0.02, n)))
    found["soft effect, one in ten large"] = (effect(skewed), 0.05)
    for seeds in (2, 3, 5):
        for shared in (0.0, 0.7):
            for spread in (0, 0.02, 0.1):
                name = f"effect, {seeds} seeds of SD {spread}, questions' ICC {shared}"
                found[name] = (effect(seeded(seeds, shared, spread)), 0.0)
    found["function of means (0.6 − 0.2) / (1 − 0.2)"] = (floored, 0.5)
    found["median, single questions"] = (median(1), 0.7)
    found["median, groups of 1–4"] = (median(4), 0.7)
    for spread in (0, 0.1):
        found[f"average effect of 3 sets, 3 seeds of SD {spread}"] = (average(3, spread), 0.0)
    found["average effect of 3 sets, one seed"] = (average(1, 0), 0.0)
    return found


def sampling(rng: np.random.Generator) -> Sampling:
    """Fewer draws than a real study has, one of four sets of them: their chance error is not that of all studies."""
    return Sampling(replicates=1000, seed=int(rng.integers(4)))


def clusters(rng: np.random.Generator, n: int, largest: int) -> np.ndarray:
    """Labels of n groups of 1 to `largest` questions."""
    return np.repeat(np.arange(n), rng.integers(1, largest + 1, n))


def alike(rng: np.random.Generator, groups: np.ndarray, icc: float, draw: Callable[[int], np.ndarray]) -> np.ndarray:
    """Values drawn by `draw`, those of a group's questions the group's own with probability `icc`."""
    return np.where(rng.random(len(groups)) < icc, draw(groups.max() + 1)[groups], draw(len(groups)))


def share(rate: float, largest: int, icc: float) -> Run:
    def run(rng: np.random.Generator, n: int) -> Estimate:
        groups = clusters(rng, n, largest)
        return intervals.share(alike(rng, groups, icc, lambda k: rng.random(k) < rate), groups, sampling(rng))

    return run


def effect(draw: Callable) -> Run:
    def run(rng: np.random.Generator, n: int) -> Estimate:
        values, groups, seeds = draw(rng, n)
        return intervals.effect(values, groups, sampling(rng), seeds=seeds)

    return run


def changes(up: float, down: float, largest: int, icc: float) -> Callable:
    def draw(rng: np.random.Generator, n: int) -> tuple:
        groups = clusters(rng, n, largest)
        values = alike(rng, groups, icc, lambda k: rng.choice([1, -1, 0], k, p=[up, down, 1 - up - down]))
        return values, groups, None

    return draw


def soft(values: Callable) -> Callable:
    return lambda rng, n: (values(rng, n), np.arange(n), None)


def seeded(seeds: int, shared: float, spread: float) -> Callable:
    """Changes +1, 0, -1 of each seed: a question has the same under all with probability √shared each, a
    seed moves all its questions up or down by a number with the standard deviation `spread`."""

    def draw(rng: np.random.Generator, n: int) -> tuple:
        own = rng.choice([1, -1, 0], n, p=[0.15, 0.15, 0.7])
        rows = []
        for shift in rng.normal(0, spread, seeds):
            values = np.where(rng.random(n) < np.sqrt(shared), own, rng.choice([1, -1, 0], n, p=[0.15, 0.15, 0.7]))
            moved = rng.random(n) < abs(shift)
            rows.append(np.where(moved, np.clip(values + np.sign(shift), -1, 1), values))
        return np.concatenate(rows), np.tile(np.arange(n), seeds), np.repeat(np.arange(seeds), n)

    return draw


def floored(rng: np.random.Generator, n: int) -> Estimate:
    columns = np.column_stack([rng.random(n) < 0.6, rng.random(n) < 0.2]).astype(float)
    columns[rng.random(n) < 0.1, 0] = np.nan
    return intervals.function_of_means(
        columns, np.arange(n), sampling(rng), lambda means: (means[:, 0] - means[:, 1]) / (1 - means[:, 1])
    )


def median(largest: int) -> Run:
    """Of tenths, the median of which is 0.7."""

    def run(rng: np.random.Generator, n: int) -> Estimate:
        groups = clusters(rng, n, largest)
        p = [0.05, 0.05, 0.05, 0.1, 0.05, 0.1, 0.2, 0.2, 0.1, 0.1]
        values = alike(rng, groups, 0.5, lambda k: rng.choice(np.arange(1, 11) / 10, k, p=p))
        return intervals.median(values, groups, sampling(rng))

    return run


def average(seeds: int, spread: float) -> Run:
    """A seed moves all three sets alike."""

    def run(rng: np.random.Generator, n: int) -> Estimate:
        shift, estimates, by_seed = rng.normal(0, spread, seeds), [], []
        for _ in range(3):
            own = rng.normal(0, 0.2, n)
            values = own + shift[:, None] + rng.normal(0, 0.2, (seeds, n))
            labels = np.repeat(np.arange(seeds), n)
            pooled = np.clip(values, -1, 1).ravel()
            estimates.append(intervals.effect(pooled, np.tile(np.arange(n), seeds), sampling(rng), seeds=labels))
            by_seed.append(values.mean(axis=1))
        return intervals.macro(estimates, 0.95, np.transpose(by_seed))

    return run


if __name__ == "__main__":
    main()
