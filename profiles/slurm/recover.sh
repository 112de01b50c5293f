#!/usr/bin/env bash
# After Snakemake itself was killed: cancels the jobs that it left in the queue, waits until they are gone, and unlocks
# the study's folder, so that the same command can be started again. Run it where Snakemake ran, with the arguments
# that say which study it is: profiles/slurm/recover.sh --configfile mine.yaml
set -euo pipefail

# A study's jobs are known by their comment, which Snakemake sets, and by their working directory, which is where it
# was started or what --directory names, in any spelling that Snakemake takes.
folder=$PWD
arguments=("$@")
for ((i = 0; i < $#; i++)); do
  case ${arguments[i]} in
    --dir*=* | -d=*) folder=${arguments[i]#*=} ;;
    --dir* | -d) folder=${arguments[i + 1]} ;;
    -d*) folder=${arguments[i]#-d} ;;
  esac
done
folder=$(cd "$folder" && pwd -P)

# Where squeue fails all ends: nothing is unlocked that may still be written to.
queued() {
  local listed
  listed=$(squeue --noheader --user "$(id -un)" --format '%i|%k|%Z') || return
  while IFS='|' read -r id comment place; do
    if [[ $comment == rule_* && $place == "$folder" ]]; then echo "$id"; fi
  done <<<"$listed"
}

ids=$(queued)
if [ -n "$ids" ]; then
  echo "cancelled:" $ids
  scancel $ids || true # of one that has just ended
fi
patience=300
for _ in $(seq $patience); do
  if [ -z "$ids" ]; then break; fi
  sleep 1
  ids=$(queued)
done
if [ -n "$ids" ]; then
  echo "after $patience s there are still the jobs" $ids "(is their node down?): nothing is unlocked; run this again later" >&2
  exit 1
fi
snakemake --unlock "$@"
