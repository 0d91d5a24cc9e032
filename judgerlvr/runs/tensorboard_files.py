"""TensorBoard files of a run that goes on: events of steps that will be run again are cut off."""

from __future__ import annotations

from pathlib import Path

from data.replacing import replacing

EVENTS = "events.out.tfevents.*"


def cut_events(folder: Path, last_step: int) -> None:
    """Keep the events up to ``last_step`` in every event file of a folder. A record that a crash cut short goes."""
    files = sorted(folder.glob(EVENTS))
    if not files:
        return
    from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    for path in files:
        # The first event of a file holds its version and no step.
        kept = [raw for raw in RawEventFileLoader(str(path)).Load() if Event.FromString(raw).step <= last_step]
        with replacing(path) as temporary, temporary.open("wb") as file:
            writer = RecordWriter(file)
            for raw in kept:
                writer.write(raw)
