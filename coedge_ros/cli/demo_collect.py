"""The demo's ears: waits for the results of all pictures, with a progress bar."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from coedge_ros.cli.demo import say
from coedge_ros.nodes.collector import Listening, Record
from coedge_ros.nodes.composition import ClusterOptions
from coedge_ros.nodes.processes import ProcessGroup

SETTLE_S = 1.5  # for the last status, and for the visualizer to save


def collect(group: ProcessGroup, options: ClusterOptions, limit_s: float) -> Record:
    """Listen until the camera has ended and every frame has its result, or the time is over."""
    expected = options.camera["max_frames"]
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Listening(options.namespace) as listening, Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("starting", total=expected)
        deadline = time.monotonic() + limit_s
        said = ""
        done_since = None
        while time.monotonic() < deadline:
            listening.spin(0.05)
            record = listening.record
            text = record.status.message if record.status else "starting"
            if text != said:
                said = text
                progress.console.print(f"[demo] {text}", highlight=False, markup=False)
            progress.update(task, completed=len(record.results), description="frames" if record.results else "starting")
            ended = group.ended()
            if broken := {n: c for n, c in ended.items() if c != 0}:
                say(f"ended early: {broken}")
                break
            status = record.status
            answered = status is not None and status.frames_answered >= status.frames_accepted
            finished = "camera" in ended and answered and len(record.results) >= status.frames_answered
            done_since = (done_since or time.monotonic()) if finished else None
            if done_since and time.monotonic() - done_since > SETTLE_S:
                break
    return record
