"""Files that do not belong together give no figure. Each field of an octet that can disagree is changed in turn."""

import copy
import json
import shutil

import pytest

from benchmarks.lab import belonging, measured
from benchmarks.lab import map as draw
from benchmarks.lab.belonging import check_together
from benchmarks.lab.command import BadInput

RECORD = measured.RESULTS / "2026-11-30-h200-ninth" / "chain-92-05-fresh-10"
OTHER = measured.RESULTS / "2026-11-30-h200-eighth" / "chain-92-05-fresh-8"
VANILLA, JUDGE = RECORD / "octet-vanilla.json", RECORD / "octet-judge-most.json"
COMPARED = ("cell", "settings", "arm", "registration_sha256")


def read(file):
    """An octet without the middle of its curves."""
    content = json.loads(file.read_text())
    runs = [run | {"curve": [run["curve"][0], run["curve"][-1]]} for run in content.get("runs", [])]
    return content | {"runs": runs}


OCTETS = {file: read(file) for file in (VANILLA, JUDGE)}
CHECKS = {RECORD / "checks.json": read(RECORD / "checks.json")}


def leaves(value, *path):
    """Paths of all values that are no dictionary and no list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path
    for key, one in inner or ():
        yield from leaves(one, *path, key)


def changed(content, path):
    """A copy with another value at the end of the path."""
    made = copy.deepcopy(content)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    old = inner[path[-1]]
    inner[path[-1]] = not old if isinstance(old, bool) else old + "x" if isinstance(old, str) else (old or 0) + 1
    return made


FIELDS = {file: [path for name in COMPARED for path in leaves(OCTETS[file][name], name)] for file in OCTETS}
SHARED = [path for path in FIELDS[JUDGE] if path[0] != "arm"]  # with the checks of the base


def test_files_that_belong_together_are_taken():
    check_together(OCTETS, CHECKS)
    assert min(map(len, FIELDS.values())) > 40


def dotted(path):
    return ".".join(map(str, path)) if isinstance(path, tuple) else path.stem


@pytest.mark.parametrize(("file", "path"), [(file, path) for file in OCTETS for path in FIELDS[file]], ids=dotted)
def test_a_field_of_one_octet_disagrees(file, path):
    with pytest.raises(BadInput):
        check_together(OCTETS | {file: changed(OCTETS[file], path)}, CHECKS)


@pytest.mark.parametrize("path", SHARED, ids=dotted)
def test_the_checks_of_the_base_disagree(path):
    (file,) = CHECKS
    with pytest.raises(BadInput):
        check_together(OCTETS, {file: changed(CHECKS[file], path)})


@pytest.mark.parametrize("path", SHARED, ids=dotted)
def test_a_cell_that_the_lab_does_not_know_agrees_with_itself(monkeypatch, path):
    monkeypatch.setattr(belonging, "all_cells", dict)
    check_together(OCTETS, CHECKS)
    with pytest.raises(BadInput):
        check_together(OCTETS | {JUDGE: changed(OCTETS[JUDGE], path)}, CHECKS)


def test_octets_of_two_bases():
    """Two bases of a cell have equal settings."""
    one, other = (OCTETS[file] | {"base_sha256": base} for file, base in ((VANILLA, "a"), (JUDGE, "b")))
    with pytest.raises(BadInput, match="another base"):
        check_together({VANILLA: one, JUDGE: other}, CHECKS)


def test_an_older_file_without_a_base_hides_no_other_base():
    bases = (OCTETS[VANILLA] | {"base_sha256": "a"}, OCTETS[JUDGE], next(iter(CHECKS.values())) | {"base_sha256": "b"})
    with pytest.raises(BadInput, match="another base"):
        check_together({VANILLA: bases[0], JUDGE: bases[1]}, {RECORD / "checks.json": bases[2]})


def with_runs(change):
    return OCTETS | {JUDGE: OCTETS[JUDGE] | {"runs": change(copy.deepcopy(OCTETS[JUDGE]["runs"]))}}


def seeds(*numbers):
    return lambda runs: [run | {"seed": seed} for run, seed in zip(runs, numbers, strict=False)]


def shorter(runs):
    runs[2]["curve"][-1]["step"] = 110
    return runs


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (seeds(0, 1, 2, 3, 4, 5, 6, 6), "twice"),
        (seeds(8, 9, 10, 11, 12, 13, 14, 15), "other rates or seeds"),
        (seeds(0, 1, 2), "other rates or seeds"),
        (lambda runs: [run | {"rate": 5e-5} for run in runs], "other rates or seeds"),
        (lambda runs: [{"seed": 0} for _ in runs], "lacks rates, seeds or curves"),
        (lambda runs: [run | {"curve": []} for run in runs], "lacks rates, seeds or curves"),
        (shorter, "end before step 120"),
    ],
    ids=["repeated", "disjoint", "fewer", "rate", "no rate", "no curve", "shorter"],
)
def test_runs_that_cannot_be_paired(change, word):
    with pytest.raises(BadInput, match=word):
        check_together(with_runs(change), CHECKS)


def test_an_arm_that_the_cell_lacks():
    """It would move the front of the penalties."""
    strange = OCTETS[JUDGE] | {"arm": OCTETS[JUDGE]["arm"] | {"name": "penalty-none"}}
    with pytest.raises(BadInput, match="has no arm penalty-none"):
        check_together({VANILLA: OCTETS[VANILLA], RECORD / "octet-penalty-none.json": strange}, CHECKS)


@pytest.mark.parametrize("name", ["octet-vanilla.json", "checks.json"])
def test_the_map_refuses_the_file_of_another_instance(tmp_path, capsys, name):
    """With the vanilla runs of instance 8, instance 10 was a win without a failed check."""
    mixed = shutil.copytree(RECORD, tmp_path / "mixed")
    shutil.copy(OTHER / name, mixed)
    assert draw.main([str(mixed), "--out", str(tmp_path / "map"), "--no-plots"]) == 2
    error = capsys.readouterr().err.splitlines()
    assert (len(error), name in error[0]) == (1, True)
    assert not (tmp_path / "map").exists()
