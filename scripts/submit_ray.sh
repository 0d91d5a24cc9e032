#!/usr/bin/env bash
# Submit a stage to a running Ray cluster, stream its log, and return its exit code.
#
#   scripts/submit_ray.sh --storage DIR stage1_judge    [--config FILE] [key=value ...]
#   scripts/submit_ray.sh --storage DIR stage2_generate --init DIR/ckpt/judge [key=value ...]
#
# DIR lies on a file system that every node sees: runs and finished policies go there. The cluster is the one at
# $RAY_ADDRESS (default http://127.0.0.1:8265). Ray's token is used where there is one (`ray get-auth-token --generate`).
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
usage() { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }
[ "${1:-}" = --storage ] && [ $# -ge 3 ] || usage
storage=$2; stage=$3; shift 3
case $stage in stage1_judge) kind=judge ;; stage2_generate) kind=generate ;; *) usage ;; esac
case $storage in /*) ;; *) echo "submit: --storage must be an absolute path that every node sees" >&2; exit 2 ;; esac
bin=${JUDGERLVR_VENV:-$root/.venv}/bin
[ -x "$bin/ray" ] || { echo "submit: no $bin/ray; run make setup, or set JUDGERLVR_VENV" >&2; exit 2; }
address=${RAY_ADDRESS:-http://127.0.0.1:8265}
# `ray start` turns authentication on when it finds a token; `ray job submit` only when it is told to.
token=${RAY_AUTH_TOKEN_PATH:-$HOME/.ray/auth_token}
if [ -n "${RAY_AUTH_TOKEN:-}" ] || [ -s "$token" ]; then export RAY_AUTH_MODE=${RAY_AUTH_MODE:-token}; fi
out=(); case " $* " in *" --out "* | *" --resume "*) ;; *) out=(--out "$storage/ckpt/$kind") ;; esac
runs=(); case " $* " in *" --resume "*) ;; *) runs=("runs=$storage/runs") ;; esac
# Packed and sent: the checkout without what it has grown. Workers import it from the job's working directory.
excludes='[".*", "/runs", "/ckpt", "/outputs", "/docs", "/tests", "/benchmarks"]'
job=judgerlvr-$kind-$(date +%Y%m%d-%H%M%S)-$$
status=0
"$bin/ray" job submit --address "$address" --submission-id "$job" --working-dir "$root" \
  --runtime-env-json "{\"excludes\": $excludes}" \
  -- "$bin/python" -m "judgerlvr.$stage" "$@" "${runs[@]}" "${out[@]}" || status=$?
[ "$status" -eq 0 ] && exit 0
# `ray job submit` returns 1 for whatever went wrong; the cluster knows the stage's own code.
code=$("$bin/python" - "$address" "$job" <<'PYTHON' 2>/dev/null || true
import sys
from ray.job_submission import JobSubmissionClient
print(JobSubmissionClient(sys.argv[1]).get_job_info(sys.argv[2]).driver_exit_code or "")
PYTHON
)
exit "${code:-$status}"
