"""The configuration: precedence, refusals with a remedy, and that no shipped file rots."""

import json

import pytest

from judgerlvr.config.load import ROOT, absent_keys, keys, load_config, load_stored, to_yaml
from rewards.errors import InputError


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_config_loads(path):
    load_config(path)


def test_override_wins_over_file_and_file_over_default(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("seed: 3\ngenerate: {stop: {steps: 7}}\n")
    config = load_config(file, ["generate.stop.steps=9"])
    assert (config.seed, config.generate.stop.steps, config.judge.stop.steps) == (3, 9, 100)


def test_resolved_config_loads_to_itself(tmp_path):
    first = load_config("configs/tiny.yaml", ["judge.batch.prompts_per_step=match_tokens"])
    file = tmp_path / "config.yaml"
    file.write_text(to_yaml(first))
    assert load_config(file) == first


def stored(folder, *overrides):
    """A run's resolved configuration of an earlier release: it has no hysparse section."""
    file = folder / "config.yaml"
    text = to_yaml(load_config("configs/tiny.yaml", overrides))
    assert "hysparse:\n  replay: true\n" in text
    file.write_text(text.replace("hysparse:\n  replay: true\n", ""))
    return file


def test_keys_newer_than_a_stored_config_are_named_with_their_defaults(tmp_path):
    assert absent_keys(stored(tmp_path)) == {"hysparse.replay": True}


def test_an_open_sections_keys_are_not_taken_for_its_absence(tmp_path):
    file = stored(tmp_path, "cluster.rollout_engine.dtype=bfloat16")
    assert set(absent_keys(file)) == {"hysparse.replay"}


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("generate.stop.step=4", "did you mean 'generate.stop.steps'"),
        ("sed=4", "did you mean 'seed'"),
        ("generate.stop.steps=many", "whole number"),
        ("cluster.device=tpu", "auto, cpu, gpu"),
        ("generate.algorithm.overlong=cut", "mask, penalty, wrong"),
        ("seed", "key=value"),
    ],
)
def test_bad_override_names_field_and_remedy(override, says):
    with pytest.raises(InputError, match=says) as caught:
        load_config("configs/tiny.yaml", [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n", "seed: [\n", "nope: 1\n"])
def test_bad_file_is_one_clear_line(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_config(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_key_is_documented():
    plain = [(name, item) for name, item in keys() if not isinstance(item.default_factory, type)]
    assert [name for name, item in plain if not item.metadata.get("help")] == []


@pytest.mark.parametrize("key", ["runs", "generate.stop.tokens_of"])
def test_what_runs_write_is_never_looked_for_in_the_checkout(tmp_path, monkeypatch, key):
    (tmp_path / "checkout" / "runs").mkdir(parents=True)
    monkeypatch.setattr("judgerlvr.config.load.ROOT", tmp_path / "checkout")
    monkeypatch.chdir(tmp_path)
    config = load_config(None, [f"{key}={'runs' if key == 'runs' else '[runs]'}"])
    found = config.runs if key == "runs" else config.generate.stop.tokens_of[0]
    assert found == str(tmp_path / "runs")


def test_an_input_is_still_looked_for_in_the_checkout(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_config(None, ["data.prompt=configs/prompts/generate.txt"]).data.prompt.startswith(str(ROOT))


def test_the_old_key_of_rollout_memory_is_refused_with_its_new_names():
    with pytest.raises(InputError, match=r"rollout_gpu_share .*rollout_cpu_gib") as error:
        load_config("configs/tiny.yaml", ["cluster.rollout_memory=0.3"])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("device", "key", "value"), [("gpu", "rollout_gpu_share", 0.3), ("cpu", "rollout_cpu_gib", 4)])
def test_a_stored_run_of_the_old_key_has_the_key_of_its_device(tmp_path, device, key, value):
    (tmp_path / "config.yaml").write_text(f"cluster: {{rollout_memory: {value}}}\n")
    assert getattr(load_stored(tmp_path / "config.yaml", device).cluster, key) == value


def test_a_run_of_a_job_reads_the_files_of_the_present_checkout(tmp_path):
    """Each head unpacks the same checkout elsewhere, and the same command must find the same run."""
    package = "/head/session_1/runtime_resources/working_dir_files/_ray_pkg_0123456789abcdef"
    paths = {"model": {"path": f"{package}/judgerlvr/tinyworld/base/qwen3"}, "runs": str(tmp_path)}
    data = {"prompt": f"{package}/configs/prompts/judge.txt", "train": [f"{package}/mine.jsonl", "/other/_ray_pkg_1/b"]}
    (tmp_path / "config.yaml").write_text(json.dumps(paths | {"data": data}))
    stored = load_stored(tmp_path / "config.yaml", "cpu")
    assert stored.model.path == str(ROOT / "judgerlvr/tinyworld/base/qwen3")
    assert stored.data.prompt == str(ROOT / "configs/prompts/judge.txt")
    assert stored.data.train == [str(ROOT / "mine.jsonl"), "/other/_ray_pkg_1/b"] and stored.runs == str(tmp_path)
