"""Pages that repeat facts of the code repeat them truly."""

import re

import pytest

from judgerlvr.config.load import key_types
from judgerlvr.evaluation.scoring.limits import CodeReason, Limits
from judgerlvr.evaluation.tasks.facts import fact_table
from judgerlvr.reference import KEYS, METRICS, pages, write
from rewards.errors import InputError
from tests.house.test_imports import ROOMS, SPLIT
from tests.house.texts import ROOT, tracked


def rooms_of_the_page():
    """Rooms in the table of the architecture page, in order, as dotted names."""
    page = (ROOT / "docs" / "architecture.md").read_text().partition("## The rooms")[2]
    return [name.replace("/", ".") for name in re.findall(r"^\| `([\w/]+)` \|", page.partition("\n## ")[0], re.M)]


def test_architecture_lists_every_room():
    files = [tuple(name.split("/")) for name in tracked() if name.endswith(".py")]
    inside = tuple(SPLIT.split("."))
    folders = {parts[:2] for parts in files if parts[0] == "judgerlvr" and len(parts) > 2} - {inside}
    folders |= {parts[:3] for parts in files if parts[:2] == inside and len(parts) > 3}
    assert set(rooms_of_the_page()) == {"rewards", "data", *(".".join(folder) for folder in folders)}


def test_architecture_lists_rooms_in_the_order_of_imports():
    listed = rooms_of_the_page()
    assert listed == [room for room in ROOMS if room in listed]


@pytest.mark.parametrize("name", pages())
def test_a_reference_page_is_the_declarations(name):
    """``python -m judgerlvr.reference`` writes the pages anew."""
    assert pages()[name] == (ROOT / name).read_text()


def test_a_reference_page_that_differs_is_written_anew(tmp_path, capsys):
    (tmp_path / "docs").mkdir()
    metrics = (ROOT / METRICS).read_text()
    (tmp_path / METRICS).write_text(metrics.replace("response/accuracy", "response/old") + "\nLast words.\n")
    with pytest.raises(InputError, match="differs from the declarations"):
        write(True, tmp_path)
    write(False, tmp_path)
    write(True, tmp_path)
    assert (tmp_path / METRICS).read_text() == metrics + "\nLast words.\n"


def test_every_key_stands_once_in_the_reference():
    listed = re.findall(r"^\| `([\w.]+)` \|", (ROOT / KEYS).read_text(), re.M)
    spelled = [
        name.replace("STAGE", stage) for name in listed for stage in ("judge", "generate")[: 1 + name.count("STAGE")]
    ]
    assert sorted(spelled) == sorted(key_types())


def test_the_table_of_tasks_is_the_declarations():
    """The page repeats ``fact_table``."""
    assert fact_table() in (ROOT / "docs" / "benchmarks.md").read_text()


def test_every_reason_of_sampled_code_is_explained():
    page = (ROOT / "docs" / "benchmarks.md").read_text()
    assert {name for name in re.findall(r"^\| `(code_\w+)` \|", page, re.M)} == {str(reason) for reason in CodeReason}


def test_the_page_states_the_limits_of_sampled_code():
    limits, page = Limits(), " ".join((ROOT / "docs" / "benchmarks.md").read_text().split())
    time = f"{limits.seconds} s of processor time and {limits.wall_seconds:g} s in all"
    memory = f"{limits.megabytes / 1024:g} GiB of memory a process, {limits.processes} processes"
    most = f"at most {limits.processes * limits.megabytes / 1024:g} GiB"
    files = f"`/tmp` of {limits.scratch_megabytes} MiB", f"{limits.file_megabytes} MiB of output"
    for text in (time, memory, most, *files):
        assert text in page


@pytest.mark.parametrize("extra", ["cpu", "gpu", "dev", "bench"])
def test_install_names_every_extra(extra):
    assert f"`{extra}`" in (ROOT / "docs" / "install.md").read_text()
