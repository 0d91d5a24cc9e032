#!/usr/bin/env bash
# The second README command: style, types and every test that a CPU can run.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
bin=${JUDGERLVR_VENV:-.venv}/bin
"$bin/ruff" check .
"$bin/ruff" format --check .
"$bin/mypy"
"$bin/python" -m pytest "$@"
# The HySparse kernels need triton, which the main environment leaves out.
scripts/test_kernels.sh
