#!/usr/bin/env bash
# Recovers after Snakemake was killed: cancels the jobs that it left in the queue, waits until they are gone, and unlocks
# the study's folder, so that the same command can be started again. Run it in the folder in which Snakemake ran, with the
# arguments that name the study: profiles/slurm/recover.sh --configfile mine.yaml
set -euo pipefail

# A study's jobs are recognised by the comment that Snakemake sets and by their working directory, the current folder or
# the folder of --directory, in any spelling that Snakemake accepts.
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

# If squeue fails the script ends, because a folder that jobs may still write to must not be unlocked.
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
  scancel $ids || true # a job may just have ended
fi
patience=300
for _ in $(seq $patience); do
  if [ -z "$ids" ]; then break; fi
  sleep 1
  ids=$(queued)
done
if [ -n "$ids" ]; then
  echo "jobs still in the queue after $patience s:" $ids "(is their node down?); the folder stays locked, run this again later" >&2
  exit 1
fi
snakemake --unlock "$@"
