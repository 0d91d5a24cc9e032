#!/usr/bin/env bash
# The quickest sign that everything runs: set up if needed, then two small steps of stage 2 from a shipped base.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh
echo "smoke: two steps of the generate stage (stage 2) with 8 prompts a step, from the shipped base"
# The run of the last call is of no further use, and holds checkpoints.
rm -rf runs/smoke
exec "${JUDGERLVR_VENV:-.venv}/bin/python" -m judgerlvr.stage2_generate --config configs/tiny.yaml --new \
  "model.path=judgerlvr/tinyworld/base/${1:-qwen3_moe}" name=smoke runs=runs/smoke --out runs/smoke/policy \
  generate.batch.prompts_per_step=8 generate.stop.steps=2 "${@:2}"
