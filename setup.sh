#!/usr/bin/env bash
# Installs everything the workflow needs, pinned, into .venv; `./setup.sh slurm` adds packages for a SLURM cluster.
# Run it again after an update.
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
cd "$(dirname "$0")"
python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "faithtune needs Python 3.11 or newer; $("$python" --version) is too old. Choose another: PYTHON=python3.12 ./setup.sh" >&2
  exit 1
}
[ -x .venv/bin/python ] || "$python" -m venv .venv
install() { .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt "$@"; }
# Compiles what pip would compile, except the packages' tests. Ignores errors: some templates end in .py.
compile() { .venv/bin/python -m compileall -qq -j "$1" -x '/(tests?|testing)/' .venv/lib >/dev/null 2>&1 || true; }
# pip uses one core, so the largest packages are compiled on another core meanwhile.
install torch transformers
compile 1 &
install ".${1:+[$1]}"
wait
compile 0
echo "faithtune is set up: .venv/bin/snakemake --cores 2"
