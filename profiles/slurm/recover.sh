#!/usr/bin/env bash
# After Snakemake itself was killed: cancels the jobs that it left in the queue, waits until they are gone, and unlocks
# the study's folder, so that the same command can be started again. Run it where Snakemake ran, with the arguments
# that say which study it is: profiles/slurm/recover.sh --configfile mine.yaml
set -euo pipefail

# A study's jobs are known by their working directory, which is where it was started or what --directory names.
folder=$PWD
arguments=("$@")
for ((i = 0; i < $#; i++)); do
  case ${arguments[i]} in
    --directory | -d) folder=${arguments[i + 1]} ;;
    --directory=*) folder=${arguments[i]#*=} ;;
  esac
done
folder=$(cd "$folder" && pwd -P)

queued() {
  squeue --noheader --user "$(id -un)" --format '%i %Z' | while read -r id place; do
    if [ "$place" = "$folder" ]; then echo "$id"; fi
  done
}

ids=$(queued)
if [ -n "$ids" ]; then
  echo "cancelled:" $ids
  scancel $ids
fi
while left=$(queued) || exit 1; [ -n "$left" ]; do sleep 1; done
snakemake --unlock "$@"
