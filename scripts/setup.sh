#!/usr/bin/env bash
# Make the CPU environment in .venv from the lock, once. Prints nothing if the environment is there already.
# JUDGERLVR_BENCH=1 adds the extra bench.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${JUDGERLVR_VENV:-$root/.venv}
lock=$root/scripts/locks/cpu-py311.txt
bench=$root/scripts/locks/bench.txt
[ -n "${JUDGERLVR_BENCH:-}" ] || bench=/dev/null
stamp=$venv/.lock-sha256
wanted=$(cat "$lock" "$bench" "$root/scripts/vllm_alias/pyproject.toml" "$root/pyproject.toml" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$stamp" 2>/dev/null || true)" = "$wanted" ]; then exit 0; fi

fail() { echo "setup: $1" >&2; exit 2; }
python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
[ -n "$python" ] || fail "no python3; run: sudo apt-get install python3.11 python3.11-venv"
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
[ "$version" = 3.11 ] || fail "Python 3.11 is what the lock is for, $python is $version; set PYTHON=/path/to/python3.11 (GPU and other versions: docs/install.md)"
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "the venv module is missing; run: sudo apt-get install python3.11-venv"
ldconfig -p 2>/dev/null | grep -q libnuma.so.1 || find /usr/lib /lib -name 'libnuma.so.1*' 2>/dev/null | grep -q . \
  || fail "libnuma is missing (vLLM needs it); run: sudo apt-get install libnuma1"
command -v gcc >/dev/null || fail "a C compiler is missing; run: sudo apt-get install build-essential"

echo "setup: creating $venv (about 500 MB to download, 3 GB on disk)"
"$python" -m venv "$venv"
pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
# torch comes from PyTorch's CPU index if the configured index has only the CUDA build.
"${pip[@]}" --no-deps torch==2.13.0+cpu 2>/dev/null \
  || "${pip[@]}" --no-deps --index-url https://download.pytorch.org/whl/cpu torch==2.13.0
"${pip[@]}" --no-deps -r "$lock" -r "$bench"
"${pip[@]}" --no-deps --no-build-isolation "$root/scripts/vllm_alias"
"${pip[@]}" --no-deps --no-build-isolation --editable "$root"
echo "$wanted" > "$stamp"
echo "setup: done"
