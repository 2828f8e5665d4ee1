"""Memory of a worker beside a process that has just torch and the model; what killed workers leave in shared memory.

    python benchmarks/footprint.py --json benchmarks/results/footprint.json

The bare process runs the same model whole at the same size, one thread. A worker's resident memory is taken after
frames; it includes the pages of Fast DDS's segments that it has touched, which are the fragment budget (16 MiB for each
segment, its own and those of its peers). Then one worker is killed and started again, over and over.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from rich.console import Console
from rich.progress import track
from rich.table import Table

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, own_domain
from coedge_ros.cli.planning_inputs import parse_size

KILLS, FRAMES, RESTART_LIMIT_S = 20, 30, 60.0
MORE_MB, SHARED_LIMIT_MB = 150.0, 20.0
SEGMENT_MB = 16.8  # of the shipped profile
BARE = """
import sys
import psutil, torch
from coedge_ros.graph.loading import load_model
torch.set_num_threads(1)
model = load_model(sys.argv[1]).module.eval()
with torch.inference_mode():
    for _ in range(5):
        model(torch.zeros(1, 3, int(sys.argv[2]), int(sys.argv[3])))
print(psutil.Process().memory_info().rss)
"""


def bare_mb(model: str, size: tuple[int, int]) -> float:
    """Resident memory of a process that runs the whole model with torch [MB]."""
    command = [sys.executable, "-c", BARE, model, *map(str, size)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]) / 1e6


def shared_mb() -> float:
    """Used of /dev/shm [MB]."""
    return shutil.disk_usage("/dev/shm").used / 1e6


def measure(model: str, size: tuple[int, int], kills: int) -> dict:
    """Memory of one cluster, and shared memory before and after kills."""
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with BenchCluster(equal_workers(2, 1), model, "", size, {"planner": "modnn"}) as cluster:
        for _ in range(FRAMES):
            cluster.answer(picture)
        held = {n: psutil.Process(p).memory_info() for n, p in cluster.pids.items() if n.startswith("worker")}
        before = shared_mb()
        used = []
        for _ in track(range(kills), description="kills", console=Console(stderr=True), transient=True):
            child = cluster.group.children["worker_2"]
            child.kill()
            child.wait()
            cluster.answer(picture)  # by whoever is left
            cluster.group.start([cluster.specs["worker_2"]])
            end = time.monotonic() + RESTART_LIMIT_S
            while len(cluster.answer(picture)[0].workers) < 2 and time.monotonic() < end:
                time.sleep(0.1)
            used.append(round(shared_mb(), 1))
    bare = bare_mb(model, size)
    return {
        "model": model, "input": "x".join(map(str, size)), "bare_mb": round(bare, 1),
        "workers_mb": {name: round(info.rss / 1e6, 1) for name, info in held.items()},
        "of_that_shared_mb": {name: round(info.shared / 1e6, 1) for name, info in held.items()},
        "more_mb": round(max(info.rss for info in held.values()) / 1e6 - bare, 1),
        "budget_mb": round(SEGMENT_MB * 4, 1), "kills": kills, "shared_before_mb": round(before, 1),
        "shared_after_each_kill_mb": used, "shared_grew_mb": round(used[-1] - before, 1) if used else 0.0,
    }  # fmt: skip


def main() -> int:
    """Measure and print; 0 when both limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--input", default="480x640")
    parser.add_argument("--kills", type=int, default=KILLS)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    own_domain()
    found = measure(args.model, parse_size(args.input), args.kills)
    table = Table(title=f"{args.model} {args.input}: resident MB", show_header=False)
    for name, value in found.items():
        table.add_row(name.replace("_", " "), str(value))
    Console(width=120).print(table)
    holds = found["more_mb"] <= MORE_MB + found["budget_mb"] and found["shared_grew_mb"] < SHARED_LIMIT_MB
    if args.json:
        summary = {"command": " ".join(["python", *sys.argv]), "holds": holds, **found}
        args.json.write_text(json.dumps(summary, indent=1) + "\n")
    return 0 if holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
