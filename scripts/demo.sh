#!/usr/bin/env bash
# The first README command: set up if needed, train both stages and vanilla on the tiny model, evaluate, report.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
exec "${JUDGERLVR_VENV:-.venv}/bin/python" -m judgerlvr.demo --model "${1:-qwen3_moe}" "${@:2}"
