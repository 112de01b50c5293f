#!/usr/bin/env bash
# Installs what the tests need and runs them all: style, workflow checks, tests. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
./setup.sh test
export PATH="$PWD/.venv/bin:$PATH"
ruff check .
ruff format --check .
snakefmt --check workflow Snakefile
snakemake --lint
pytest "$@"
