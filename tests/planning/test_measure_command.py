"""``python -m judgerlvr.measure`` on a CPU: the product's engine measured, and a dry run that reads the file."""

import pytest

from judgerlvr.config.check import check_config
from judgerlvr.config.choices import TrainerMode
from judgerlvr.config.load import load_config
from judgerlvr.measure import main as measure
from judgerlvr.pipeline.measuring import STEPS, short_stage
from judgerlvr.planning.measured import read_measured
from judgerlvr.planning.speed import PHASES
from judgerlvr.stage2_generate import main as stage2


@pytest.mark.parametrize("ranks", [1, 8, 16])
@pytest.mark.parametrize("name", ["tiny", "qwen3_30b_a3b"])
def test_the_short_stage_divides_and_keeps_policy_and_engine(name, ranks, tmp_path):
    given = load_config(f"configs/{name}.yaml", [f"cluster.gpus_per_node={ranks}", "cluster.nodes=1"])
    short = short_stage(given, str(tmp_path), response_tokens=1024, samples_per_rank=32)
    batch = short.generate.batch
    assert batch.prompts_per_step // batch.updates_per_step * batch.samples_per_prompt % ranks == 0
    assert batch.prompts_per_step * batch.samples_per_prompt >= 32 * ranks
    assert (short.model, short.cluster) == (given.model, given.cluster)
    assert short.generate.stop.steps == STEPS
    assert given.data.train == load_config(f"configs/{name}.yaml").data.train


def test_phases_are_timed_where_none_runs_beside_another(tmp_path):
    separate = ["cluster.trainer_mode=separate_async", "cluster.rollout_gpus_per_node=2"]
    short = short_stage(load_config("configs/tiny.yaml", separate), str(tmp_path), 64, 32)
    assert (short.cluster.trainer_mode, short.cluster.rollout_gpus_per_node) == (TrainerMode.sync, 0)
    check_config(short)


def test_a_file_that_exists_is_not_overwritten(tmp_path, capsys):
    (tmp_path / "m.json").write_text("mine")
    assert measure(["--out", str(tmp_path / "m.json")]) == 2
    assert "give another --out" in capsys.readouterr().err
    assert (tmp_path / "m.json").read_text() == "mine"


@pytest.mark.slow
@pytest.mark.engine
def test_the_tiny_policy_is_measured_and_the_dry_run_reads_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "m.json"
    assert measure(["--out", str(file), "--response-tokens", "16", "--samples", "16"]) == 0
    measured = read_measured(file)
    assert measured.card == "cpu"
    assert all(measured.seconds[phase] > 0 for phase in PHASES)
    assert measured.tokens.response == 16
    assert stage2(["--dry-run", f"planning.measured={file}"]) == 0
    assert "measured on this CPU" in capsys.readouterr().out
