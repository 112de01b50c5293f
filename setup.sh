#!/usr/bin/env bash
# Makes .venv here with everything the workflow needs, pinned; `./setup.sh slurm` with what a SLURM cluster needs too.
# Run it again after an update.
set -euo pipefail
cd "$(dirname "$0")"
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "faithtune needs Python 3.11 or newer; $("$python" --version) is too old. Name another: PYTHON=python3.12 ./setup.sh" >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt ".${1:+[$1]}"
# What pip would compile by itself, on all cores; a package's templates are no Python, which is no error.
.venv/bin/python -m compileall -qq -j 0 .venv/lib >/dev/null 2>&1 || true
echo "faithtune is set up: .venv/bin/snakemake --cores 2"
