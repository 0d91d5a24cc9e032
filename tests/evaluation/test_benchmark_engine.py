"""The benchmark command with a real engine on real files: killed once, resumed, each sample once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter

import pytest

from judgerlvr.config.load import ROOT
from judgerlvr.evaluation.records import read_records
from judgerlvr.tinyworld.making.checkpoint import base_path

# The AIME file is an export by another project, which the hash of the task refuses.
FILES = {"aime": "aime24.jsonl", "gsm8k": "gsm8k-test.jsonl", "svamp": "svamp.jsonl"}
# Problems of a file. 0 takes all problems.
LIMIT = int(os.environ.get("JUDGERLVR_BENCH_LIMIT", "25"))
KILLED_AFTER = 10
WAIT_SECONDS = 400


def kept(folder):
    """Lines of samples on the disk."""
    return sum(file.read_bytes().count(b"\n") for file in folder.rglob("shards/*.jsonl"))


@pytest.mark.slow
@pytest.mark.engine
def test_four_real_files_are_measured_across_a_kill(tmp_path, test_data):
    model = shutil.copytree(base_path("qwen3_moe"), tmp_path / "long")
    config = json.loads((model / "config.json").read_text()) | {"max_position_embeddings": 16384}
    (model / "config.json").write_text(json.dumps(config))
    data = test_data / "eval"
    lines = [f"{{task: math500, file: {data / 'math500.jsonl'}, n: 1}}"]
    lines += [f"{{name: {name}, file: {data / file}, n: 1}}" for name, file in FILES.items()]
    suite = tmp_path / "suite.yaml"
    suite.write_text("tasks:\n" + "".join(f"  - {line}\n" for line in lines))
    command = [sys.executable, "-m", "judgerlvr.benchmark", "--model", str(model), "--suite", str(suite)]
    command += ["--out", str(tmp_path / "out"), "--max-tokens", "16"] + (["--limit", str(LIMIT)] if LIMIT else [])
    with subprocess.Popen(command, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL) as first:
        end = time.monotonic() + WAIT_SECONDS
        while kept(tmp_path / "out") < KILLED_AFTER and first.poll() is None and time.monotonic() < end:
            time.sleep(0.2)
        os.killpg(first.pid, signal.SIGKILL)
    before = kept(tmp_path / "out")
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    print(done.stdout)
    records = read_records(tmp_path / "out" / "long" / "samples.jsonl")
    report = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    counts = {task["name"]: task["problems"] for task in report["tasks"]}
    wanted = {name: min(count, LIMIT or count) for name, count in counts.items()}
    assert KILLED_AFTER <= before < sum(wanted.values())
    assert Counter(record.set for record in records) == wanted
    assert set(Counter((r.set, r.id, r.sample) for r in records).values()) == {1}
    assert f"{before} are there" in done.stdout or "are there from an earlier attempt" in done.stdout
