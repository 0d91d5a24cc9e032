#!/usr/bin/env bash
# A Ray cluster on the nodes of a Slurm job, and a submission to that cluster.
#   sbatch --nodes=2 scripts/cluster/slurm.sh --storage /shared/judgerlvr experiment configs/qwen3_30b_a3b.yaml
# The job goes back into the queue near its time limit, when Slurm preempts the job, and when a part of the cluster dies.
# The next start gives the same submission, which goes on from the last sealed checkpoint. docs/cluster.md has the variables.
#SBATCH --job-name=judgerlvr
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --mem=0
#SBATCH --exclusive
#SBATCH --time=24:00:00
#SBATCH --signal=B:USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=judgerlvr-%j.log
set -uo pipefail

fail() { echo "slurm: $1" >&2; exit 2; }
say() { echo "slurm: $1"; }

[ -n "${SLURM_JOB_ID:-}" ] || fail "this is no Slurm job; give the script to sbatch"
# sbatch runs a copy of this file in a folder of its own, so the checkout is where sbatch was called.
root=${JUDGERLVR_ROOT:-$SLURM_SUBMIT_DIR}
venv=${JUDGERLVR_VENV:-$root/.venv}
[ -f "$root/judgerlvr/submit.py" ] || fail "no checkout in $root; call sbatch in the checkout, or set JUDGERLVR_ROOT"
[ -x "$venv/bin/ray" ] || fail "no Ray in $venv; set JUDGERLVR_VENV to the environment, which every node must see"
[ $# -gt 0 ] || fail "nothing to submit; give the arguments of judgerlvr.submit, such as --storage DIR experiment FILE"
cd "$root" || exit 2

port=${JUDGERLVR_RAY_PORT:-6379}
dashboard_port=${JUDGERLVR_DASHBOARD_PORT:-8265}
most=${JUDGERLVR_REQUEUES:-50}
# The exit code of a submission whose cluster is gone (judgerlvr/cluster/jobs.py).
head_lost=75
read -ra options <<< "${JUDGERLVR_RAY_OPTIONS:-}"

asked=
trap 'asked=USR1' USR1
trap 'asked=TERM' TERM

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
count=${#nodes[@]}
first=${nodes[0]:-}
[ -n "$first" ] || fail "scontrol names no node of $SLURM_JOB_NODELIST"
# Without both options Slurm binds the task to a single CPU, and with the task all of Ray.
step=(srun --ntasks-per-node=1 --cpus-per-task="$SLURM_CPUS_ON_NODE" --cpu-bind=none)
on_first=("${step[@]}" --nodes=1 --ntasks=1 --nodelist="$first")
address=${JUDGERLVR_HEAD_IP:-}
if [ -z "$address" ]; then
  address=$("${on_first[@]}" hostname --ip-address)
  address=${address%% *}
  case $address in
    "" | 127.*) fail "$first names itself ${address:-nothing}; set JUDGERLVR_HEAD_IP to its address in the cluster's network" ;;
  esac
fi

# Everyone on the cluster's network could run code as this user otherwise.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=${RAY_AUTH_TOKEN:-$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')}
export RAY_ADDRESS=http://$address:$dashboard_port
submit=("$venv/bin/python" -m judgerlvr.submit)
ray_start=("$venv/bin/ray" start --block --disable-usage-stats --num-cpus="$SLURM_CPUS_ON_NODE")

parts=()
submission=
# shellcheck disable=SC2317  # The trap calls the function.
end_all() {
  local pids=("${parts[@]}") last=
  [ -z "$submission" ] || pids+=("$submission")
  [ ${#pids[@]} -gt 0 ] || return
  kill "${pids[@]}" 2>/dev/null
  # Ray ends its processes within seconds. What is left holds the nodes no longer than this.
  for _ in $(seq 20); do
    kill -0 "${pids[@]}" 2>/dev/null || break
    sleep 1
  done
  for last in "${pids[@]}"; do kill -9 "$last" 2>/dev/null; done
}
trap end_all EXIT

whole() {
  local part
  for part in "${parts[@]}"; do kill -0 "$part" 2>/dev/null || return 1; done
}

# The exit code of a process of this script, or 1 as soon as a signal came or a part of the cluster died.
while_whole() {
  while kill -0 "$1" 2>/dev/null; do
    if [ -n "$asked" ] || ! whole; then return 1; fi
    # The shell runs a trap behind a command, and at once behind wait.
    sleep 1 & wait $!
  done
  wait "$1"
}

requeue() {
  if scontrol show job --oneliner "$SLURM_JOB_ID" | grep -q JobState=CANCELLED; then
    say "$1; cancelled, so the job is not requeued"
    exit 143
  fi
  if [ "${SLURM_RESTART_COUNT:-0}" -ge "$most" ]; then
    say "$1; not requeued after $most restarts (JUDGERLVR_REQUEUES)"
    exit 1
  fi
  say "$1; requeued (restart ${SLURM_RESTART_COUNT:-0} before)"
  # Slurm may kill the job seconds after a signal, so the cluster is ended behind this line.
  scontrol requeue "$SLURM_JOB_ID" || fail "Slurm does not requeue the job; give the same sbatch command again"
  exit 0
}

say "$count nodes, head $first at $address, restart ${SLURM_RESTART_COUNT:-0}"
# Options of the user stand last and win. `ray start` would take the dashboard's address for a cluster to join.
env -u RAY_ADDRESS "${on_first[@]}" "${ray_start[@]}" --head --node-ip-address="$address" --port="$port" \
  --dashboard-host=0.0.0.0 --dashboard-port="$dashboard_port" "${options[@]}" & parts+=($!)
if [ "$count" -gt 1 ]; then
  others=$((count - 1))
  # A node whose Ray ends takes the others with it, so that the loss is seen here.
  env -u RAY_ADDRESS "${step[@]}" --nodes="$others" --ntasks="$others" --exclude="$first" --kill-on-bad-exit=1 \
    "${ray_start[@]}" --address="$address:$port" "${options[@]}" & parts+=($!)
fi

"${submit[@]}" wait "$count" & submission=$!
while_whole "$submission"; code=$?
# A set-up that has never stood is at fault. Later starts may meet a node that is ill or overloaded.
if [ "$code" -ne 0 ] && [ -z "$asked" ]; then
  if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ]; then requeue "the cluster did not start"; fi
  say "the cluster did not start"
  exit 1
fi
if [ "$code" -eq 0 ]; then
  "${submit[@]}" "$@" & submission=$!
  while_whole "$submission"; code=$?
fi

if [ "$asked" = USR1 ]; then
  # The time limit is minutes away. The newest job of a cluster of its own is the submission.
  job=$("${submit[@]}" status | head -n 1)
  [ -z "$job" ] || "${submit[@]}" stop "${job%%:*}"
fi
[ -z "$asked" ] || requeue "SIG$asked came"
[ "$code" -ne 0 ] || exit 0
# Slurm tells of a dead node or process some seconds after the submission has failed.
for _ in $(seq 10); do
  if [ "$code" -eq "$head_lost" ] || ! whole; then requeue "a part of the cluster died"; fi
  sleep 1
done
say "the submission ended with exit code $code"
exit "$code"
