"""Damaged files of a checkpoint end an export with one line, whatever the damage is."""

import re

import pytest
import yaml

from judgerlvr.export.__main__ import main as export
from judgerlvr.export.source import Source, source_of
from rewards.errors import InputError
from tests.helpers.json_damage import damaged


@pytest.fixture(scope="module")
def settings(trained):
    return yaml.safe_load((trained[1] / "verl.yaml").read_text())


def test_every_damage_of_the_stored_settings_is_refused_or_harmless(checkpoint, settings):
    path, outcomes = checkpoint.parent.parent / "verl.yaml", set()
    for damage in damaged(settings):
        path.write_text(yaml.safe_dump(damage))
        try:
            found = source_of(checkpoint)
        except InputError as error:
            assert error.file or "dtype" in str(error), damage
            outcomes.add("refused")
        else:
            assert isinstance(found, Source) and found.base.is_dir(), damage
            outcomes.add("read")
    assert outcomes == {"refused", "read"}


TEXTS = {"nothing": b"", "words": b"no settings: [", "bytes": bytes(range(256)), "a list": b"- 1\n"}


@pytest.mark.parametrize("content", TEXTS.values(), ids=TEXTS)
def test_settings_that_are_none_are_one_line(checkpoint, content, capsys):
    (checkpoint.parent.parent / "verl.yaml").write_bytes(content)
    assert export([str(checkpoint)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def cut(share):
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def directory(path):
    path.unlink()
    path.mkdir()


DAMAGES = {
    **{f"cut to {share}": cut(share) for share in (0, 0.01, 0.5, 0.99)},
    "text": lambda path: path.write_text("shard"),
    "missing": lambda path: path.unlink(),
    "a directory": directory,
}


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_shard_is_one_line_and_leaves_no_policy(checkpoint, damage, rank, capsys):
    damage(checkpoint / "actor" / f"model_world_size_3_rank_{rank}.pt")
    assert export([str(checkpoint)]) in (1, 2)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and re.search(r"shard|rank|model_world_size", lines[0])
    assert not (checkpoint / "policy").exists()
