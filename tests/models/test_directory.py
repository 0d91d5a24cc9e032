"""Damaged model directories: one line that names the file, before a weight is read."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from judgerlvr.config.load import ROOT
from judgerlvr.hysparse.model.layout import FULL, SPARSE
from judgerlvr.models.configuration import read_config
from judgerlvr.models.directory import check_model, load_tokenizer
from judgerlvr.models.weights import check_weights, read_header
from rewards.errors import InputError

BASE = ROOT / "judgerlvr" / "tinyworld" / "base"
WEIGHTS = "model.safetensors"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(BASE / "qwen3", folder)
    return folder


def edit(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


DAMAGE = {
    "truncated tensors": (lambda m: cut(m / WEIGHTS, 100_000), "its header says"),
    "truncated header": (lambda m: cut(m / WEIGHTS, 100), "no readable safetensors header"),
    "empty weights": (lambda m: cut(m / WEIGHTS, 0), "no readable safetensors header"),
    "grown weights": (lambda m: (m / WEIGHTS).open("ab").write(b"x"), "its header says"),
    "not weights": (lambda m: (m / WEIGHTS).write_text("<html>not found</html>" * 9), "no readable safetensors"),
    "lfs pointer": (
        lambda m: (m / WEIGHTS).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"),
        "git lfs pull",
    ),
    "missing shard": (
        lambda m: (m / f"{WEIGHTS}.index.json").write_text('{"weight_map": {"a": "model-2-of-2.safetensors"}}'),
        "shard model-2-of-2.safetensors is missing",
    ),
    "broken index": (lambda m: (m / f"{WEIGHTS}.index.json").write_text("[1]"), "not an index of weights"),
    "config is a list": (lambda m: (m / "config.json").write_text("[1]"), "holds no keys"),
    "config is cut": (lambda m: cut(m / "config.json", 40), "not JSON"),
    "config is latin-1": (lambda m: (m / "config.json").write_bytes(b'{"a": "\xe9"}'), "not JSON"),
    "unknown model type": (lambda m: edit(m / "config.json", model_type="gpt9"), "cannot read the model's config"),
    "classifier": (
        lambda m: edit(m / "config.json", architectures=["Qwen3ForSequenceClassification"]),
        "Qwen3ForSequenceClassification writes no text",
    ),
    "narrow values": (
        lambda m: edit(m / "config.json", model_type="hysparse", head_dim=32, v_head_dim=16),
        "no values of another width than the keys' 32",
    ),
    "no windows": (
        lambda m: edit(m / "config.json", model_type="hysparse", branches="sparse", layer_types=[FULL, SPARSE]),
        "no layer has a window",
    ),
    "size is a word": (lambda m: edit(m / "config.json", hidden_size="big"), "cannot read the model's config"),
    "context is a word": (lambda m: edit(m / "config.json", max_position_embeddings="long"), "write a whole number"),
    "tokenizer is cut": (lambda m: cut(m / "tokenizer.json", 1000), "cannot load the tokenizer"),
    "template fails": (
        lambda m: (m / "chat_template.jinja").write_text("{% for m in messages %}"),
        "the chat template fails",
    ),
    "template raises": (
        lambda m: (m / "chat_template.jinja").write_text("{{ raise_exception('no') }}"),
        "the chat template fails",
    ),
    "template ignores the prompt": (lambda m: (m / "chat_template.jinja").write_text("hello"), "leaves out the prompt"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_damage_is_one_line(model, case):
    damage, says = DAMAGE[case]
    damage(model)
    with pytest.raises(InputError, match=says) as caught:
        check_model(model, 64)
    assert "\n" not in str(caught.value)
    assert str(model) in str(caught.value)


@pytest.mark.parametrize("config", [*(ROOT / "configs").glob("qwen3_*.yaml")], ids=lambda path: path.stem)
def test_a_shipped_configuration_tells_its_download(tmp_path, monkeypatch, config):
    monkeypatch.chdir(tmp_path)
    path = yaml.safe_load(config.read_text())["model"]["path"]
    with pytest.raises(InputError, match=rf"hf download Qwen/{Path(path).name} --local-dir {path}"):
        read_config(Path(path))


@pytest.mark.parametrize("folder", ["Qwen/Qwen3-0.6B", "{here}/Qwen/Qwen3-0.6B"])
def test_a_name_of_the_hub_is_told_how_to_get_it(tmp_path, monkeypatch, folder):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"hf download Qwen/Qwen3-0\.6B --local-dir models/Qwen3-0\.6B"):
        read_config(Path(folder.format(here=tmp_path)))
    (tmp_path / "Qwen").mkdir()
    with pytest.raises(InputError, match="give a transformers checkpoint"):
        read_config(Path(folder.format(here=tmp_path)))


@pytest.mark.parametrize("name", ["qwen3", "qwen3_moe", "hysparse", "hysparse_moe", "hysparse2"])
def test_shipped_bases_are_whole(name):
    check_weights(BASE / name)
    check_model(BASE / name, 64)


def test_headers_are_those_of_the_library():
    from safetensors import safe_open

    path = BASE / "qwen3" / WEIGHTS
    with safe_open(str(path), framework="np") as tensors:
        shapes = {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    assert {name: entry["shape"] for name, entry in read_header(path).items()} == shapes


def test_a_long_text_brings_no_noise_of_the_library(capfd):
    tokenizer = load_tokenizer(BASE / "qwen3")
    tokenizer.encode("many words " * 2000)
    assert capfd.readouterr().err == ""
