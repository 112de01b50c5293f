#!/usr/bin/env bash
# Installs what the tests need, checks style and workflow, and runs the tests. Arguments go to pytest:
#
#     tests/run.sh                                    all but the nightly tests
#     tests/run.sh tests/unit -m "not slow" -n 2      the quick tests
#     tests/run.sh -m nightly -n 2 --dist loadfile    the nightly tests
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
cd "$(dirname "$0")/.."
# A real SLURM for tests/workflow/test_slurm.py, a real browser for the pages and a real TeX for the tables; without them
# their tests are skipped.
wanted=()
command -v slurmctld >/dev/null || wanted+=(slurmctld slurmd slurm-client munge)
command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null ||
  wanted+=(chromium fonts-dejavu-core)
command -v pdflatex >/dev/null || wanted+=(texlive-latex-recommended)
debian() {
  if [ ${#wanted[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    said=$( (apt-get update -qq && apt-get install -qq -y --no-install-recommends "${wanted[@]}") 2>&1) ||
      printf '%s\n' "$(tail -n 5 <<<"$said")" "not installed, and tests skipped: ${wanted[*]}" >&2
  fi
}
# In parallel with pip, which takes longer.
debian &
./setup.sh test
wait
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
snakefmt --check workflow Snakefile &
formatted=$!
snakemake --lint
wait $formatted
if [ $# -gt 0 ]; then exec pytest "$@"; fi
# Two processes, each running one file at a time, in the order of tests/conftest.py.
pytest tests -n 2 --dist loadfile --no-loadscope-reorder
