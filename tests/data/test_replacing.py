"""A file appears whole or not at all, whatever ends the writing."""

import pytest

from data.jsonl import write_jsonl
from data.verl_rows import write_parquet
from judgerlvr.runs.files import write_atomically


def full(*_):
    raise OSError(28, "No space left on device")


def broken_rows():
    yield {"a": 1}
    full()


WRITERS = {
    "lines": lambda path, _: write_jsonl(path, broken_rows()),
    "parquet": lambda path, _: write_parquet(path, broken_rows()),
    "text": lambda path, patch: (patch.setattr("os.fsync", full), write_atomically(path, "new")),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_full_disk_leaves_the_old_file_alone(tmp_path, monkeypatch, kind):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left"):
        WRITERS[kind](path, monkeypatch)
    assert [(found.name, found.read_text()) for found in tmp_path.iterdir()] == [("file", "old")]
