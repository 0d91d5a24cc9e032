"""The console of a run: phases with their time from the first second, and lines that fit."""

import io
import subprocess
import sys

import pytest

from judgerlvr.runs.console import Screen, clock_time, fit
from judgerlvr.runs.metrics import PASSING, PHASE, PROGRESS, log_phase, log_progress


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def screen_of():
    def make(width):
        clock = Clock()
        console = io.StringIO()
        return Screen(console, width, clock), clock, console

    return make


def test_a_phase_is_told_at_once_and_then_at_growing_intervals(screen_of):
    screen, clock, console = screen_of(None)
    screen.take(f"{PHASE}starting Ray\n")
    for clock.now in range(241):
        screen.tick()
    assert console.getvalue().splitlines() == [
        "  0:00 starting Ray",
        "  0:15 starting Ray (15 s)",
        "  0:30 starting Ray (30 s)",
        "  1:00 starting Ray (60 s)",
        "  2:00 starting Ray (120 s)",
        "  4:00 starting Ray (240 s)",
    ]


def test_a_terminal_shows_a_phase_in_one_line_that_changes(screen_of):
    screen, clock, console = screen_of(80)
    screen.take(f"{PHASE}starting Ray\n")
    for clock.now in (1.0, 2.0):
        screen.tick()
    screen.take("step 1\n")
    screen.close()
    erased = "\r\x1b[K"
    ticks = f"  0:01 starting Ray (1 s){erased}  0:02 starting Ray (2 s){erased}"
    assert console.getvalue() == f"  0:00 starting Ray\n{ticks}step 1\n"


def test_a_passing_phase_is_told_only_when_it_takes_long(screen_of):
    screen, clock, console = screen_of(None)
    screen.take(f"{PASSING}step 2: sampling\n")
    clock.now = 14.0
    screen.tick()
    assert console.getvalue() == ""
    clock.now = 15.0
    screen.tick()
    assert "step 2: sampling (15 s)" in console.getvalue()


def test_a_line_that_is_not_whole_yet_waits(screen_of):
    screen, _, console = screen_of(None)
    screen.take("half a ")
    assert console.getvalue() == ""
    screen.take("line\n")
    assert console.getvalue() == "half a line\n"


@pytest.mark.parametrize("width", [40, 80, 119])
@pytest.mark.parametrize("words", [1, 5, 30])
@pytest.mark.parametrize("parts", [1, 2, 4, 12])
def test_no_line_is_wider_than_the_terminal(width, words, parts):
    line = "  ".join(["value 0.123 " * words] * parts)
    assert max(map(len, fit(line, width))) <= width


@pytest.mark.parametrize(("seconds", "shown"), [(0, "0:00"), (65.9, "1:05"), (3600, "1:00:00"), (7265, "2:01:05")])
def test_time_on_a_clock(seconds, shown):
    assert clock_time(seconds) == shown


def test_marks_do_not_hide_each_other(tmp_path):
    log_phase(tmp_path, "one")
    log_phase(tmp_path, "two", passing=True)
    log_progress(tmp_path, "three")
    assert (tmp_path / PROGRESS).read_text() == f"{PHASE}one\n{PASSING}two\nthree\n"
    assert not PASSING.startswith(PHASE)


def test_the_first_phase_reaches_the_console_and_noise_does_not(tmp_path):
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from judgerlvr.runs.console import quiet\nfrom judgerlvr.runs.metrics import log_phase\n"
        "with quiet(Path(sys.argv[1])):\n"
        "    log_phase(Path(sys.argv[1]), 'starting Ray')\n    print('noise')\n"
        "print('last line')\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["  0:00 starting Ray", "last line"]
    assert "noise" in (tmp_path / "engine.log").read_text()
