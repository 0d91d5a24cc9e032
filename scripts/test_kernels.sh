#!/usr/bin/env bash
# Test the HySparse kernels and the lab's on a CPU under Triton's interpreter, in an environment of their own. The main environment has no triton.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
venv=${JUDGERLVR_KERNELS_VENV:-.venv-kernels}
lock=scripts/locks/kernels.txt
wanted=$(sha256sum "$lock" | cut -d' ' -f1)
if [ "$(cat "$venv/.lock-sha256" 2>/dev/null || true)" != "$wanted" ]; then
  echo "test_kernels: creating $venv (about 400 MB to download, 1.3 GB on disk)"
  "${PYTHON:-$(command -v python3.11 || command -v python3)}" -m venv "$venv"
  pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps)
  # torch comes from PyTorch's CPU index if the configured index has only the CUDA build.
  "${pip[@]}" torch==2.13.0+cpu 2>/dev/null \
    || "${pip[@]}" --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
  "${pip[@]}" -r "$lock"
  echo "$wanted" > "$venv/.lock-sha256"
fi
# Without the repository's pytest settings and conftest, which need the main environment's packages.
export OMP_NUM_THREADS=1 PYTHONPATH=$PWD
pytest=("$venv/bin/python" -m pytest -q -c /dev/null --rootdir . --noconftest -p no:cacheprovider)
"${pytest[@]}" tests/hysparse/test_compile.py tests/hysparse/test_kv_outer_compile.py
"${pytest[@]}" tests/lab/test_decoding.py -k kernel
TRITON_INTERPRET=1 "${pytest[@]}" tests/hysparse/test_kernels.py tests/hysparse/test_kv_outer.py tests/hysparse/test_kv_outer_backward.py tests/hysparse/test_kernel_comparison.py tests/hysparse/test_decode.py tests/hysparse/test_pages.py "$@"
