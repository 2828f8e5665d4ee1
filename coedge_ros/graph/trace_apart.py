"""Tracing in a process of its own: what torch.export loads for it, some 100 MB, is never given back.

`python -m coedge_ros.graph.trace_apart FILE MODEL WEIGHTS HEIGHT WIDTH` traces a zoo model and keeps its graph.
"""

from __future__ import annotations

import contextlib
import fcntl
import subprocess
import sys
from pathlib import Path

LIMIT_S = 300.0
LOCK = "trace.lock"


def trace_apart(file: Path, spec: str, weights: str, size: tuple[int, int]) -> None:
    """Let another process write the file of `trace_file`, once for all processes of this host that wait for it.

    When that does not work there is no file, and whoever needs the graph traces it.

    Parameters
    ----------
    file : Path
        Where the graph goes; nothing is done when it is there.
    spec : str
        Name of a model of the zoo.
    weights : str
        As `load_model` takes them, "" for random ones.
    size : tuple of int
        Input (H, W).
    """
    if file.exists():
        return
    command = [sys.executable, "-m", __name__, str(file), spec, weights, *map(str, size)]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(file.parent / LOCK, "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # ends with its holder
            if not file.exists():  # who held the lock before may have written it
                subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=True)


def main(args: list[str]) -> int:
    """Trace and keep."""
    import torch

    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.lower import partition_model

    torch.set_num_threads(1)
    file, spec, weights, height, width = args
    loaded = load_model(spec, weights=weights or None)
    partition_model(loaded.module, int(height), int(width), mean=loaded.mean, std=loaded.std, kept=Path(file))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
