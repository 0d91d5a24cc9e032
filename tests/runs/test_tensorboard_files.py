"""TensorBoard shows each step once after a resume."""

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from judgerlvr.runs.metrics import METRICS
from judgerlvr.runs.resume_state import trim_metrics
from judgerlvr.runs.tensorboard_files import EVENTS, cut_events

NAMES = ("response/accuracy", "critic/score/mean")


def write(folder, first, last):
    writer = SummaryWriter(folder)
    for step in range(first, last + 1):
        for name in NAMES:
            writer.add_scalar(name, step / 10, step)
    writer.close()


def shown(folder):
    accumulator = EventAccumulator(str(folder)).Reload()
    return {name: [(event.step, round(event.value, 3)) for event in accumulator.Scalars(name)] for name in NAMES}


@pytest.mark.parametrize("sealed", [0, 3, 5])
def test_steps_that_are_run_again_stand_once(tmp_path, sealed):
    folder = tmp_path / "tensorboard"
    write(folder, 0, 5)
    trim_metrics(tmp_path, tmp_path / f"global_step_{sealed}")
    write(folder, sealed + 1, 8)
    assert shown(folder) == {name: [(step, step / 10) for step in range(9)] for name in NAMES}


def test_a_run_that_begins_anew_keeps_no_step(tmp_path):
    write(tmp_path / "tensorboard", 0, 2)
    (tmp_path / METRICS).write_text("")
    trim_metrics(tmp_path, None)
    write(tmp_path / "tensorboard", 0, 2)
    assert [step for step, _ in shown(tmp_path / "tensorboard")[NAMES[0]]] == [0, 1, 2]


def test_a_record_that_a_crash_cut_short_goes(tmp_path):
    write(tmp_path, 0, 3)
    (path,) = tmp_path.glob(EVENTS)
    path.write_bytes(path.read_bytes()[:-7])
    cut_events(tmp_path, 9)
    assert shown(tmp_path)[NAMES[0]] == [(step, step / 10) for step in range(4)]
    assert len(shown(tmp_path)[NAMES[1]]) == 3


def test_a_folder_without_events_is_left_alone(tmp_path):
    cut_events(tmp_path / "none", 3)
    assert list(tmp_path.iterdir()) == []
