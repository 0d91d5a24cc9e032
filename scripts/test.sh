#!/usr/bin/env bash
# The second README command: style, types and every test that a CPU can run. Arguments go to pytest, in one process.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
bin=${JUDGERLVR_VENV:-.venv}/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
if [ $# -gt 0 ]; then exec "$bin/python" -m pytest "$@"; fi
# Behind exec, which would drop the trap and leave the folder.
logs=$(mktemp -d)
trap 'pkill -P $$ 2>/dev/null || true; rm -rf "$logs"' EXIT
# The HySparse kernels need triton, which the main environment leaves out. Engines wait much, so both fit beside the other tests.
scripts/test_kernels.sh > "$logs/kernels" 2>&1 & kernels=$!
"$bin/python" -m pytest -m "engine and not slow and not gpu" > "$logs/engines" 2>&1 & engines=$!
status=0
"$bin/python" -m pytest -m "not engine and not slow and not gpu" || status=$?
wait "$engines" || status=$?
echo "Tests that start Ray and vLLM:" && cat "$logs/engines"
wait "$kernels" || status=$?
echo "HySparse kernels:" && cat "$logs/kernels"
exit "$status"
