#!/usr/bin/env bash
# The fast check while working: style, types, contracts, prose, configuration and run folders. Under a minute on two cores.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
bin=${JUDGERLVR_VENV:-.venv}/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
# Without a cache, mypy takes half of the time on one core. The tests take the other core.
types=$(mktemp)
trap 'rm -f "$types"' EXIT
"$bin/mypy" > "$types" 2>&1 & mypy=$!
status=0
# The files that are left out import torch, Ray or transformers, which takes longer than their tests.
"$bin/python" -m pytest -m "not slow and not gpu and not engine" \
  tests/house tests/config/test_load.py tests/config/test_check.py tests/runs \
  --ignore=tests/runs/test_causes.py --ignore=tests/runs/test_policy_card.py \
  --ignore=tests/runs/test_tensorboard_files.py "$@" || status=$?
wait "$mypy" || status=$?
cat "$types"
exit "$status"
