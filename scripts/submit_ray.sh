#!/usr/bin/env bash
# Submit a stage to a running Ray cluster: python -m judgerlvr.submit with this checkout's environment.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${JUDGERLVR_VENV:-$root/.venv}/bin/python
[ -x "$python" ] || { echo "submit: no $python; run make setup, or set JUDGERLVR_VENV" >&2; exit 2; }
exec "$python" -m judgerlvr.submit "$@"
