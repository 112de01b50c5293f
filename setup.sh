#!/usr/bin/env bash
# Makes .venv here with everything the workflow needs, pinned; `./setup.sh slurm` with what a SLURM cluster needs too.
# Run it again after an update.
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
cd "$(dirname "$0")"
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "faithtune needs Python 3.11 or newer; $("$python" --version) is too old. Name another: PYTHON=python3.12 ./setup.sh" >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt "$@"; }
# What pip would compile by itself, but for the packages' tests. Templates among the files are no Python: no error.
compile() { .venv/bin/python -m compileall -qq -j "$1" -x '/(tests?|testing)/' .venv/lib >/dev/null 2>&1 || true; }
# pip works on one core: the largest packages are compiled on another while the rest is installed.
install torch transformers
compile 1 &
install ".${1:+[$1]}"
wait
compile 0
echo "faithtune is set up: .venv/bin/snakemake --cores 2"
