"""Runtimes: Snakemake's benchmark files, summed by rule."""

import contextlib
from pathlib import Path

import polars as pl


def summary(folder: str | Path) -> str:
    """A table with a line for each rule: jobs, their total seconds, and the highest peak memory of a job.

    Reads FOLDER/RULE/**/*.tsv, which keep the figures of a job's last run. Skips files that are truncated or no
    benchmarks.
    """
    frames = []
    for path in sorted(Path(folder).glob("*/**/*.tsv")):
        with contextlib.suppress(pl.exceptions.PolarsError):
            times = pl.read_csv(path, separator="\t", columns=["s", "max_rss"], infer_schema=False)
            frames.append(times.with_columns(rule=pl.lit(path.relative_to(folder).parts[0])))
    if not frames:
        return "no job has been timed yet"
    jobs = pl.concat(frames).with_columns(pl.col("s", "max_rss").cast(pl.Float64, strict=False).fill_null(0))
    rules = jobs.group_by("rule").agg(jobs=pl.len(), seconds=pl.sum("s"), peak=pl.max("max_rss"))
    lines = [f"{'rule':<12}{'jobs':>6}{'seconds':>10}{'peak MB':>10}"]
    for rule, n, seconds, peak in rules.sort("seconds", descending=True).iter_rows():
        lines.append(f"{rule:<12}{n:>6}{seconds:>10.0f}{peak:>10.0f}")
    total = rules["seconds"].sum()
    return "\n".join([*lines, f"{'all':<12}{jobs.height:>6}{total:>10.0f}{rules['peak'].max():>10.0f}"])
