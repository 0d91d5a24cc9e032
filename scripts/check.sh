#!/usr/bin/env bash
# The fast check while working: style, types, contracts, prose, configuration and run folders. About a minute.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
bin=${JUDGERLVR_VENV:-.venv}/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/python" -m pytest -m "not slow and not gpu and not engine" \
  tests/house tests/config/test_load.py tests/config/test_check.py tests/runs "$@"
