#!/usr/bin/env bash
# The second README command: style, types and every test that a CPU can run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
bin=${JUDGERLVR_VENV:-.venv}/bin
# The HySparse kernels need triton, which the main environment leaves out. Their tests take one core, beside the other tests.
log=$(mktemp)
scripts/test_kernels.sh > "$log" 2>&1 &
kernels=$!
trap 'pkill -P "$kernels" 2>/dev/null || true; kill "$kernels" 2>/dev/null || true; rm -f "$log"' EXIT
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/python" -m pytest "$@"
echo "HySparse kernels:"
status=0
wait "$kernels" || status=$?
cat "$log"
exit "$status"
