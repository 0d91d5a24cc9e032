"""Names of the hub in the place of a model directory. The hub itself is stood in for: tests have no network."""

import shutil
from errno import ENOSPC
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

from judgerlvr.config.effective import configure
from judgerlvr.config.load import ROOT
from judgerlvr.models.directory import check_model
from judgerlvr.models.hub import FILES, hub_name, model_directory
from judgerlvr.pipeline.requests import unchecked_request
from rewards.errors import InputError

BASE = ROOT / "judgerlvr/tinyworld/base/qwen3"


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """A folder as the hub's cache has: links to files that are named by hashes. The working folder is empty."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots" / "abc"
    shutil.copytree(BASE, blobs)
    snapshot.mkdir(parents=True)
    for file in blobs.iterdir():
        (snapshot / file.name).symlink_to(file)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    asked = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **rest: asked.append(name) or str(snapshot))
    return SimpleNamespace(folder=snapshot, asked=asked)


def test_a_name_of_the_hub_is_a_model(cached):
    directory = model_directory("acme/tiny")
    assert (directory, cached.asked) == (cached.folder, ["acme/tiny"])
    check_model(directory, longest=8)


def test_a_stage_starts_from_a_name_of_the_hub(cached):
    config = configure(str(ROOT / "configs/tiny.yaml"), ["model.path=acme/tiny"]).config
    assert unchecked_request("generate", config, None, None, here=True, address="").init == cached.folder.resolve()


def test_a_folder_is_taken_before_the_hub(cached):
    Path("acme/tiny").mkdir(parents=True)
    assert model_directory("acme/tiny") == Path("acme/tiny")
    assert not cached.asked


@pytest.mark.parametrize("path", ["models/Qwen3-0.6B", "ckpt/judge", "/acme/tiny", "acme", "a/b/c", "../tiny", "acme/"])
def test_other_paths_are_no_names_of_the_hub(cached, path):
    assert hub_name(path) is None


def test_the_files_of_a_shipped_base_are_among_those_downloaded():
    assert [file.name for file in BASE.iterdir() if not any(file.match(pattern) for pattern in FILES)] == ["README.md"]


def answer(kind):
    return kind("no", response=SimpleNamespace(headers={}, request=None, status_code=401))


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (answer(GatedRepoError), "gated"),
        (answer(RepositoryNotFoundError), "not on the hub"),
        (answer(HfHubHTTPError), "cannot be reached"),
        (LocalEntryNotFoundError("no"), "cannot be reached"),
        (ConnectionError("no"), "cannot be reached"),
    ],
)
def test_a_hub_that_gives_nothing_is_one_line(cached, monkeypatch, error, told):
    def fails(name, **rest):
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(InputError, match=told):
        model_directory("acme/tiny")


def test_a_full_disk_is_no_fault_of_the_name(cached, monkeypatch):
    def fails(name, **rest):
        raise OSError(ENOSPC, "no space")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with pytest.raises(OSError, match="no space"):
        model_directory("acme/tiny")
