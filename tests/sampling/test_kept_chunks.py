"""Candidates survive a death: whole chunks are taken from the disk, and the result is as if nothing had died."""

import pytest

from judgerlvr.sampling import candidates
from judgerlvr.sampling.decoding import Decoding
from judgerlvr.sampling.kept_chunks import Keep
from judgerlvr.sampling.samples import Sample
from rewards.types import Problem

PROBLEMS = [Problem(f"p{number}", f"{number}+1?", str(number + 1)) for number in range(7)]
TEMPLATE = "Solve {{problem}}"


@pytest.fixture
def engine(monkeypatch):
    """Stands for vLLM: responses are a function of the problem; dies after a number of chunks."""
    state = {"chunks": 0, "dies_after": 99}

    class FakeSampler:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def sample(self, items, decoding):
            if state["chunks"] == state["dies_after"]:
                raise RuntimeError("killed")
            state["chunks"] += 1
            return [Sample(item, n, f"{item.id}/{n}", tokens=3) for item in items for n in range(decoding.n)]

    monkeypatch.setattr(candidates, "Sampler", FakeSampler)
    monkeypatch.setattr(candidates, "needed_context", lambda *_: 64)
    return state


def sample(folder, decoding=None, models=("a", "b")):
    keep = Keep(folder / "data" / "kept.jsonl", 2, folder)
    paths = [folder / name for name in models]
    return candidates.sample_candidates(paths, PROBLEMS, TEMPLATE, decoding or Decoding(n=2), None, keep)


def whole(folder):
    return candidates.sample_candidates([folder / "a", folder / "b"], PROBLEMS, TEMPLATE, Decoding(n=2))


@pytest.mark.parametrize("dies_after", range(8))
def test_a_death_costs_the_chunk_at_work(engine, tmp_path, dies_after):
    engine["dies_after"] = dies_after
    with pytest.raises(RuntimeError):
        sample(tmp_path)
    engine["dies_after"] = 99
    rows = sample(tmp_path)
    assert engine["chunks"] == 8
    assert rows == whole(tmp_path)


def test_a_line_cut_short_is_sampled_again(engine, tmp_path):
    sample(tmp_path)
    file = tmp_path / "data" / "kept.jsonl"
    file.write_text(file.read_text()[:-20])
    assert sample(tmp_path) == whole(tmp_path)
    assert len(file.read_text().splitlines()) == 9


def test_other_settings_begin_afresh(engine, tmp_path):
    sample(tmp_path)
    sample(tmp_path, Decoding(n=2, seed=5))
    assert engine["chunks"] == 16


def test_a_complete_file_starts_no_engine(engine, tmp_path, monkeypatch):
    rows = sample(tmp_path)
    monkeypatch.setattr(candidates, "Sampler", lambda *_: pytest.fail("an engine was started"))
    assert sample(tmp_path) == rows
