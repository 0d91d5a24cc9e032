"""The folder of a cell: another cell is refused before it writes, and the same cell goes on."""

import json
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch

from benchmarks.lab import run
from benchmarks.lab.cells import all_cells, chain_cell, fresh_instance, with_controls
from benchmarks.lab.checks import Check
from benchmarks.lab.claim import check_claim, claimed, differences
from benchmarks.lab.command import BadInput
from benchmarks.lab.measured import RESULTS
from benchmarks.lab.records import CellFolder, describe
from benchmarks.lab.training import Octet

CELL = all_cells()["smoke"]
OTHERS = {
    "world.seed": replace(CELL, world=replace(CELL.world, seed=9)),
    "sft.steps": replace(CELL, sft=replace(CELL.sft, steps=9)),
    "rl.clip.low": replace(CELL, rl=replace(CELL.rl, clip=replace(CELL.rl.clip, low=0.1))),
    "model": replace(CELL, model={"width": 64}),
    "rates.1": replace(CELL, rates=(1e-4, 3e-4)),
    "seeds": replace(CELL, seeds=2),
    "seed": replace(CELL, seed=7),
    "name": replace(CELL, name="other"),
}


@pytest.fixture
def old(tmp_path):
    """A folder of the time before claims: a base and its checks."""
    folder = CellFolder(tmp_path)
    folder.save_base({"a": torch.ones(2)})
    folder.save_checks(CELL, [Check("any", 1.0)], [{}], {})
    return tmp_path


@pytest.mark.parametrize("other", OTHERS)
def test_each_setting_of_the_base_or_the_runs_is_compared(other):
    stored = json.loads(json.dumps(describe(CELL)))
    assert differences(stored, OTHERS[other]) == [other]


def test_a_stored_field_that_the_cell_does_not_know_is_another():
    stored = json.loads(json.dumps(describe(CELL)))
    stored["settings"]["world"]["tilt"] = 1
    assert differences(stored, CELL) == ["world.tilt"]


def test_a_stored_list_that_is_longer_is_another():
    stored = json.loads(json.dumps(describe(CELL)))
    stored["settings"]["rates"].append(3e-4)
    assert differences(stored, CELL) == [f"rates.{len(CELL.rates)}"]


def test_a_claim_keeps_another_cell_out(tmp_path):
    claimed(tmp_path, CELL)
    with pytest.raises(BadInput, match=r"other world\.seed: name another folder"):
        claimed(tmp_path, OTHERS["world.seed"])


def test_a_refused_cell_writes_nothing(old, capsys):
    before = {file.name: file.read_bytes() for file in old.iterdir()}
    assert run.main(["gate-smoke", "--out", str(old)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert {file.name: file.read_bytes() for file in old.iterdir()} == before


def test_an_old_folder_that_matches_is_taken(old):
    assert claimed(old, CELL).load_base(torch.device("cpu"))["a"].tolist() == [1.0, 1.0]


def test_an_old_folder_of_another_cell_is_refused(old):
    with pytest.raises(BadInput, match="seeds"):
        check_claim(old, OTHERS["seeds"])


def test_a_base_that_nothing_names_is_refused(tmp_path):
    CellFolder(tmp_path).save_base({"a": torch.ones(2)})
    with pytest.raises(BadInput, match="names the cell"):
        claimed(tmp_path, CELL)


def test_the_controls_share_the_folder_of_their_base(tmp_path):
    cell = chain_cell("chain", "92", "05")
    claimed(tmp_path, cell)
    assert claimed(tmp_path, with_controls(cell)).path == tmp_path


def test_another_instance_does_not_share(tmp_path):
    cell = chain_cell("chain", "92", "05")
    claimed(tmp_path, cell)
    with pytest.raises(BadInput, match="registration"):
        claimed(tmp_path, fresh_instance(cell, 1, "judge-20-2026-11-29.md"))


def test_an_arm_that_has_changed_is_not_taken_for_done(tmp_path):
    arm = replace(CELL.arms[1], penalty=0.5)
    claimed(tmp_path, CELL).save_octet(CELL, arm, Octet([[], []], [], True), {})
    with pytest.raises(BadInput, match=r"arm\.penalty"):
        claimed(tmp_path, CELL)


def test_the_records_of_today_and_before_match_their_cells():
    """Two bases failed. chain-92-40 has had 3,000 steps since then, and the recipes another instance."""
    files = sorted([*RESULTS.rglob("octet-*.json"), *RESULTS.rglob("checks.json")])
    records = {file: json.loads(file.read_text()) for file in files}
    others = {
        file.parent.name: found for file, r in records.items() if (found := differences(r, all_cells()[r["cell"]]))
    }
    assert others == {"chain-92-40": ["sft.steps"], "chain-92-05-recipes": ["world.seed", "sft.seed", "seed"]}


def store(path, value, ready):
    torch.set_num_threads(1)
    folder = claimed(path, CELL)
    ready.wait()
    stored = folder.save_base({"a": torch.full((2,), float(value))})
    (path / f"saw-{value}").write_text(str(stored["a"][0].item()))


def test_processes_of_one_cell_agree_on_a_base(tmp_path):
    context = get_context("spawn")
    ready = context.Barrier(2)
    both = [context.Process(target=store, args=(tmp_path, value, ready)) for value in (1, 2)]
    for process in both:
        process.start()
    for process in both:
        process.join(120)
    assert len({(tmp_path / f"saw-{value}").read_text() for value in (1, 2)}) == 1
    assert not list(tmp_path.glob("*.part"))


@pytest.fixture
def trained(tmp_path):
    """A folder with a base and a complete vanilla octet from that base."""
    folder = claimed(tmp_path, CELL)
    folder.save_base({"a": torch.ones(2)})
    folder.save_octet(CELL, CELL.arms[0], Octet([[], []], [], True), {})
    return folder


def replaced(folder):
    (folder.path / "base.pt").unlink()
    folder.save_base({"a": torch.zeros(2)})


def test_an_arm_of_the_base_is_done(trained):
    assert claimed(trained.path, CELL).finished(CELL.arms[0])


@pytest.mark.parametrize("lost", [replaced, lambda folder: (folder.path / "base.pt").unlink()], ids=["other", "gone"])
def test_an_arm_of_another_base_is_refused_before_anything_is_trained(trained, capsys, monkeypatch, lost):
    """The arm stayed, another arm was trained from the new base, and the map refused both."""
    lost(trained)
    monkeypatch.setattr(run, "CellRun", lambda *rest: pytest.fail("a run began"))
    before = {file.name: file.read_bytes() for file in trained.path.iterdir()}
    assert run.main(["smoke", "--out", str(trained.path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "octet-vanilla.json has run from another base" in line and "move the octet files away" in line
    assert {file.name: file.read_bytes() for file in trained.path.iterdir()} == before


def test_an_arm_of_another_base_is_not_done(trained):
    """Another process may replace the base while this one trains."""
    replaced(trained)
    with pytest.raises(BadInput, match="another base"):
        trained.finished(CELL.arms[0])


def test_an_older_octet_that_tells_no_base_is_done(trained):
    file = trained.path / "octet-vanilla.json"
    old = {name: value for name, value in json.loads(file.read_text()).items() if name != "base_sha256"}
    file.write_text(json.dumps(old))
    replaced(trained)
    assert claimed(trained.path, CELL).finished(CELL.arms[0])


def test_a_cut_octet_of_another_base_is_trained_anew(trained):
    trained.save_octet(CELL, CELL.arms[0], Octet([[], []], [], False), {})
    replaced(trained)
    assert not claimed(trained.path, CELL).finished(CELL.arms[0])
