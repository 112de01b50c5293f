#!/usr/bin/env bash
# Installs what the tests need and runs them all: style, workflow checks, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
./setup.sh test
# A real SLURM for tests/workflow/test_slurm.py, which is skipped where it cannot be had.
if ! command -v slurmctld >/dev/null && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  said=$( (apt-get update -qq && apt-get install -qq -y --no-install-recommends slurmctld slurmd slurm-client munge) 2>&1) ||
    printf '%s\n' "$(tail -n 5 <<<"$said")" "SLURM was not installed: its tests are skipped" >&2
fi
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
snakefmt --check workflow Snakefile
snakemake --lint
if [ $# -gt 0 ]; then exec pytest "$@"; fi
pytest tests/unit -n 2 --dist loadfile
pytest tests/workflow
