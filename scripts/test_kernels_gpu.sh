#!/usr/bin/env bash
# Test the HySparse kernels on this machine's GPU. Needs torch, triton and pytest. pytest-xdist makes the tests run in parallel.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
python=${PYTHON:-python3}
"$python" -c 'import torch; raise SystemExit(0 if torch.cuda.is_available() else "test_kernels_gpu: torch sees no GPU")'
# Most of the time goes into compiling, on one core a test.
workers=()
if "$python" -c 'import xdist' 2>/dev/null; then workers=(-n "${JUDGERLVR_TEST_WORKERS:-8}"); fi
PYTHONPATH=$PWD "$python" -m pytest -q -c /dev/null --rootdir . --noconftest -p no:cacheprovider "${workers[@]}" \
  tests/hysparse/test_kernels.py tests/hysparse/test_kv_outer.py tests/hysparse/test_kv_outer_backward.py \
  tests/hysparse/test_decode.py tests/hysparse/test_pages.py tests/hysparse/test_gpu.py tests/hysparse/test_kv_outer_gpu.py "$@"
