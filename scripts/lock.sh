#!/usr/bin/env bash
# Make the lock files from the extras in pyproject.toml. Needs uv 0.13.9: pip install uv==0.13.9
#
#   scripts/lock.sh              keep every version that still fits: only changed extras change a lock file
#   scripts/lock.sh --upgrade    take the newest versions that the extras allow
#
# Further arguments go to `uv pip compile`. Without a way to download.pytorch.org, a folder with the wheel of
# torch 2.13.0+cpu serves: scripts/lock.sh --no-sources --find-links FOLDER
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
uv=${UV:-uv}
command -v "$uv" >/dev/null || { echo "lock: no uv; run: pip install uv==0.13.9, or set UV=/path/to/uv" >&2; exit 2; }

# compile LOCK OPTION...: the lock's own comment lines stay on top, and its versions are what uv prefers.
compile() {
  local lock=$1 head; shift
  head=$(grep '^#' "$lock")
  "$uv" pip compile pyproject.toml --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-header --no-annotate --output-file "$lock" "$@"
  { echo "$head"; grep -v '^#' "$lock"; } > "$lock.new"
  mv "$lock.new" "$lock"
}

# torch comes first in scripts/setup.sh, from PyTorch's CPU index. torchvision, torchaudio and torchcodec break beside the
# CPU build of torch, and triton is 1 GB that no CPU run reads.
leave_out=(torch torchvision torchaudio torchcodec triton)
compile scripts/locks/cpu-py311.txt --extra cpu --extra dev "${leave_out[@]/#/--no-emit-package=}" "$@"
compile scripts/locks/gpu.txt --extra gpu "$@"

# The extra bench goes beside either device's lock: each lock is a constraint, and what the lock has already is left out.
beside() {
  "$uv" pip compile pyproject.toml --quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --no-header --no-annotate --extra bench --constraint "$1" "${@:2}" | grep -vxFf "$1"
}
bench=scripts/locks/bench.txt
{ grep '^#' "$bench"; { beside scripts/locks/cpu-py311.txt "$@"; beside scripts/locks/gpu.txt "$@"; } | sort -u; } > "$bench.new"
twice=$(grep -v '^#' "$bench.new" | cut -d= -f1 | uniq -d)
[ -z "$twice" ] || { echo "lock: the CPU and the GPU lock want other versions of: $twice" >&2; exit 1; }
mv "$bench.new" "$bench"
