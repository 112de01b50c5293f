"""The table of runtimes, from benchmark files as Snakemake writes them."""

from faithtune.jobs import runtimes

HEADER = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"


def write(path, seconds, peak):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}{seconds}\t0:00:01\t{peak}\t1\t1\t1\t1\t1\t1\t1\n")


def test_seconds_add_up_and_memory_is_the_peak(tmp_path):
    write(tmp_path / "tune/m/a.tsv", 100.4, 2000)
    write(tmp_path / "chains/m/a/x.tsv", 10, 500)
    write(tmp_path / "chains/m/b/x.tsv", 20.2, 700.6)
    write(tmp_path / "estimates/estimates.tsv", 0.1, "NA")  # too short to be sampled
    lines = [line.split() for line in runtimes.summary(tmp_path).splitlines()]
    assert lines == [
        ["rule", "jobs", "seconds", "peak", "MB"],
        ["tune", "1", "100", "2000"],
        ["chains", "2", "30", "701"],
        ["estimates", "1", "0", "0"],
        ["all", "4", "131", "2000"],
    ]


def test_without_benchmarks(tmp_path):
    assert runtimes.summary(tmp_path) == "no job has been timed yet"
