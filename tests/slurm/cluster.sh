#!/usr/bin/env bash
# A real SLURM on this machine, for tests: munge, slurmctld and the nodes cpu1 and gpu1 (two GPUs, which are /dev/null).
#
#     tests/slurm/cluster.sh start DIR        everything of it is in DIR, but for links in /etc/slurm
#     tests/slurm/cluster.sh node DIR NAME    starts a node's daemon (again)
#     tests/slurm/cluster.sh stop DIR         ends jobs and daemons, removes DIR and the links
#
# Needs root, and Debian's packages slurmctld, slurmd, slurm-client and munge; neither systemd nor cgroups nor a
# database. Each task notes its job and its GPUs in DIR/tasks: JOB DEVICES. Memory is watched: a job above its own dies.
set -euo pipefail
action=$1 dir=$2
host=$(hostname -s)

start() {
  for name in slurm.conf gres.conf; do
    if [ -e "/etc/slurm/$name" ]; then
      echo "/etc/slurm/$name is another cluster's: left alone" >&2
      exit 1
    fi
  done
  mkdir -p "$dir"/{state,log,run,spool/cpu1,spool/gpu1,dev} /etc/slurm
  chmod 755 "$dir" "$dir/run"
  mknod "$dir/dev/nvidia0" c 1 3
  mknod "$dir/dev/nvidia1" c 1 3
  configure
  # There and nowhere else: the jobs' own srun is called without SLURM_CONF.
  ln -sfn "$dir/slurm.conf" /etc/slurm/slurm.conf
  ln -sfn "$dir/gres.conf" /etc/slurm/gres.conf
  (umask 077 && head -c 1024 /dev/urandom >"$dir/munge.key")
  # --force: the folders of tests are their user's alone, which munge warns of.
  munged --force --key-file="$dir/munge.key" --socket="$dir/run/munge.socket" --pid-file="$dir/run/munged.pid" \
    --log-file="$dir/log/munged.log" --seed-file="$dir/munge.seed" 2>"$dir/log/munged.err"
  slurmctld
  node cpu1
  node gpu1
  for _ in $(seq 100); do
    if [ "$(sinfo --noheader --Node --format %T | grep --count idle)" = 2 ]; then return; fi
    sleep 0.1
  done
  sinfo --Node --long >&2
  exit 1
}

node() { slurmd -N "$1"; }

stop() {
  if [ -s "$dir/run/slurmctld.pid" ]; then
    timeout 20 scancel --user "$(id -un)" || true
    for _ in $(seq 100); do
      if [ -z "$(timeout 5 squeue --noheader || true)" ]; then break; fi
      sleep 0.1
    done
  fi
  for name in slurmd-cpu1 slurmd-gpu1 slurmctld munged; do
    end "$dir/run/$name.pid"
  done
  for name in slurm.conf gres.conf; do
    if [ "$(readlink "/etc/slurm/$name")" = "$dir/$name" ]; then rm "/etc/slurm/$name"; fi
  done
  rm -rf "$dir"
}

# A daemon removes its file when it ends; one that was killed left it.
end() {
  if ! [ -s "$1" ] || ! kill "$(cat "$1")" 2>/dev/null; then return; fi
  for _ in $(seq 100); do
    if ! [ -e "$1" ]; then return; fi
    sleep 0.1
  done
  kill -9 "$(cat "$1")"
}

configure() {
  cat >"$dir/slurm.conf" <<EOF
ClusterName=faithtune
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthInfo=socket=$dir/run/munge.socket,cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool/%n
SlurmctldPidFile=$dir/run/slurmctld.pid
SlurmdPidFile=$dir/run/slurmd-%n.pid
SlurmctldLogFile=$dir/log/slurmctld.log
SlurmdLogFile=$dir/log/slurmd-%n.log
TaskProlog=$dir/prolog.sh
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,sched_min_interval=0
MinJobAge=3600
KillWait=2
SlurmdTimeout=10
GresTypes=gpu
NodeName=cpu1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26818 CPUs=4 RealMemory=64000
NodeName=gpu1 NodeHostname=$host NodeAddr=127.0.0.1 Port=26819 CPUs=4 RealMemory=256000 Gres=gpu:2
PartitionName=cpu Nodes=cpu1
PartitionName=gpu Nodes=gpu1
EOF
  echo "NodeName=gpu1 Name=gpu File=$dir/dev/nvidia[0-1]" >"$dir/gres.conf"
  cat >"$dir/prolog.sh" <<EOF
#!/bin/sh
echo "\$SLURM_JOB_ID \${CUDA_VISIBLE_DEVICES:-none}" >>"$dir/tasks"
EOF
  chmod +x "$dir/prolog.sh"
  touch "$dir/tasks"
}

if [ "$action" = node ]; then node "$3"; else "$action"; fi
