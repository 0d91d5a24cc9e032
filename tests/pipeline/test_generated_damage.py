"""Damaged models and data files, odd paths, and keys that contradict each other: a line and exit 2, or rightly read.

The default counts are small. The slow tests draw more than 3,000 by the same seeds, all within a process.
"""

import random
import signal

import pytest

from data.importing.options import ReadOptions
from data.problems import read_problem_set
from data.responses import read_responses
from judgerlvr.evaluate import main as evaluate
from judgerlvr.models.directory import check_model
from judgerlvr.report import main as report
from judgerlvr.stage1_judge import main as judge
from judgerlvr.stage2_generate import main as generate
from rewards.errors import LONGEST_LINE, InputError, one_line
from tests.helpers import data_damage, model_damage, odd_paths
from tests.helpers.allowed_values import combinations

SEED = 20261129
LONGEST = 256
MAINS = {"judge": judge, "generate": generate, "evaluate": evaluate, "report": report}
PATHS = [(place, kind) for place in odd_paths.PLACES for kind in odd_paths.KINDS]
READERS = (read_problem_set, read_responses)
OPTIONS = (ReadOptions(), ReadOptions(need_gold=False, bad_rows="drop"))


class Hangs(BaseException):
    """A check that waits, such as for the writer of a pipe."""


@pytest.fixture(autouse=True)
def alarm():
    """No single case may take a minute."""

    def end(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, end)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def refusal(run):
    """The line of an InputError, None where nothing was raised."""
    signal.alarm(60)
    try:
        run()
    except InputError as error:
        line = one_line(error)
        assert "\n" not in line and len(line) <= LONGEST_LINE
        assert line.endswith(" ".join(error.remedy.split()))
        return line
    finally:
        signal.alarm(0)
    return None


def models_accepted(folder, numbers, kinds):
    """Word and number of each damaged model that the check of a starting policy lets pass."""
    accepted = []
    for number in numbers:
        kind, word = model_damage.damaged(folder / f"m{number}", number, SEED, kinds)
        if refusal(lambda place=folder / f"m{number}": check_model(place, LONGEST)) is None:
            accepted.append((number, kind, word))
    return accepted


def test_a_damaged_model_is_refused_before_weights_are_read(tmp_path):
    assert models_accepted(tmp_path, range(2 * len(model_damage.KINDS)), model_damage.KINDS) == []


def test_a_harmless_change_leaves_a_model_usable(tmp_path):
    assert len(models_accepted(tmp_path, range(12), model_damage.HARMLESS)) == 12


@pytest.mark.slow
def test_a_thousand_damaged_models(tmp_path):
    assert models_accepted(tmp_path, range(1100), model_damage.KINDS) == []


def read_damaged(folder, numbers):
    """How many damaged files were refused and read. Any other exception ends the test."""
    counts = {"refused": 0, "read": 0}
    for number in numbers:
        (place := folder / f"d{number}").mkdir()
        _, path = data_damage.damaged(place, number, SEED)
        for reader in READERS:
            for options in OPTIONS:
                line = refusal(lambda read=reader, given=path, how=options: read(given, how))
                counts["read" if line is None else "refused"] += 1
    return counts


def test_a_damaged_data_file_is_refused_or_read(tmp_path):
    counts = read_damaged(tmp_path, range(72))
    assert min(counts.values()) > 50


@pytest.mark.slow
def test_thousands_of_damaged_data_files(tmp_path):
    counts = read_damaged(tmp_path, range(2400))
    assert min(counts.values()) > 2000


def one_line_or_well(main, arguments, capsys):
    """The exit code of a command, which must be 0, or 2 with a single line."""
    signal.alarm(60)
    code = main(arguments)
    signal.alarm(0)
    error = capsys.readouterr().err
    assert code in (0, 2), error
    assert code == 0 or (error.startswith("error: ") and error.count("\n") == 1), error
    return code


def check_path(place, kind, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command, arguments, accepted = odd_paths.arguments(place, kind, tmp_path)
    assert one_line_or_well(MAINS[command], arguments, capsys) == (0 if accepted else 2)


@pytest.mark.parametrize(("place", "kind"), random.Random(SEED).sample(PATHS, 12))
def test_an_odd_path_is_named(place, kind, tmp_path, monkeypatch, capsys):
    check_path(place, kind, tmp_path, monkeypatch, capsys)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "kind"), PATHS)
def test_each_odd_path_in_each_place(place, kind, tmp_path, monkeypatch, capsys):
    check_path(place, kind, tmp_path, monkeypatch, capsys)


@pytest.mark.parametrize("number", range(4))
def test_keys_that_are_allowed_alone(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main = (judge, generate)[number % 2]
    pair = combinations(4, SEED)[number]
    one_line_or_well(main, ["--config", "configs/tiny.yaml", "--dry-run", *pair], capsys)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(200))
def test_hundreds_of_combinations(number, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    main = (judge, generate)[number % 2]
    pair = combinations(200, SEED + 1, 2 + number % 2)[number]
    one_line_or_well(main, ["--config", "configs/tiny.yaml", "--dry-run", *pair], capsys)
