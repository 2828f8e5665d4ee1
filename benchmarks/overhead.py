"""What a worker's program costs beside the bare module, and how long a model takes to be traced and staged.

One worker, in this process, one thread. The same frame goes in turn through the user's module as it is (bare), through
the simplified graph run whole (kernels: batch norms folded, activations fused, channels last), and through the
coordinator, the fragments and the program of one worker with a stage per layer (program). Ratios are taken round by
round, and their median is given with a 95 % interval (order statistics), because the machine's speed changes meanwhile.
All times are CPU seconds of this process, which has one thread: what else runs on the machine is not counted.

    python benchmarks/overhead.py                      # all architectures of the zoo at 480x640, a table
    python benchmarks/overhead.py resnet18 unet --json
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from math import comb

import torch

from coedge_ros.execution.allocator import keep_freed_memory
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.execution.verification import random_frame
from coedge_ros.graph.digest import model_digest
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import partition_model
from coedge_ros.graph.trace import PixelInput
from coedge_ros.graph.zoo.registry import zoo_names
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import plan_from_shares

HEADER = """| model | input | bare ms | kernels ms | program ms | program over bare % | program over kernels % | rounds | stages | trace + stage s |
|---|---|---|---|---|---|---|---|---|---|"""  # noqa: E501
STAGED_FOR = 3  # workers that programs are built for when staging is timed


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """Median and a distribution-free interval that holds it with 95 % (or all values, when they are few)."""
    ordered, n = sorted(values), len(values)
    k, tail = 0, 0.0
    while k < n // 2 and 2 * (tail + comb(n, k) / 2**n) <= 0.05:
        tail += comb(n, k) / 2**n
        k += 1
    low = max(0, k - 1)
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2, ordered[low], ordered[n - 1 - low]


def seconds(run: Callable[[], object]) -> float:
    """CPU seconds of one call."""
    began = time.process_time()
    run()
    return time.process_time() - began


def measure(name: str, height: int, width: int, budget_s: float, least_rounds: int) -> dict:
    """Trace, stage and run one model; a row of the table."""
    loaded = load_model(name)
    if loaded.fixed_input:
        height, width = loaded.input_size
    module = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
    digest = model_digest(loaded.module)

    began = time.process_time()
    model = partition_model(loaded.module, height, width, mean=loaded.mean, std=loaded.std, digest=digest)
    traced_s = time.process_time() - began
    graph = model.graph
    names = tuple(f"worker_{i}" for i in range(STAGED_FOR))
    schedule = derive_schedule(graph, plan_from_shares(graph, names, [1.0] * STAGED_FOR, layer_cuts(graph)))
    for worker in range(STAGED_FOR):
        WorkerProgram(model, schedule, worker)
    staged_s = time.process_time() - began

    frame = random_frame(height, width)
    pixels = torch.from_numpy(frame).permute(2, 0, 1).contiguous().unsqueeze(0)
    plan = plan_from_shares(graph, ("alone",), [1.0], layer_cuts(graph))
    cluster = InProcessCluster(model, plan)
    last = pixels.contiguous(memory_format=torch.channels_last)
    runs = {
        "bare": lambda: module(pixels),
        "kernels": lambda: model.nodes.run(last, keep=set()),
        "program": lambda: cluster.run(frame),
    }
    took: dict[str, list[float]] = {name: [] for name in runs}
    with torch.inference_mode():
        for run in (*runs.values(), *runs.values()):
            run()
        end, rounds = time.perf_counter() + budget_s, 0
        while rounds < least_rounds or (time.perf_counter() < end and rounds < 60):
            order = list(runs)[rounds % 3 :] + list(runs)[: rounds % 3]
            for which in order:
                took[which].append(seconds(runs[which]))
            rounds += 1
    over_bare = median_interval([p / b for p, b in zip(took["program"], took["bare"], strict=True)])
    over_kernels = median_interval([p / k for p, k in zip(took["program"], took["kernels"], strict=True)])
    return {
        "model": name, "input": [height, width], "rounds": rounds,
        **{f"{which}_ms": round(median_interval(times)[0] * 1e3, 2) for which, times in took.items()},
        "over_bare_percent": [round(100 * (x - 1), 1) for x in over_bare],
        "over_kernels_percent": [round(100 * (x - 1), 1) for x in over_kernels],
        "stages": plan.stages, "trace_s": round(traced_s, 2), "trace_and_stage_s": round(staged_s, 2),
    }  # fmt: skip


def line(row: dict) -> str:
    """A row in Markdown."""
    h, w = row["input"]
    over = [
        f"{m:+.1f} ({low:+.1f} .. {high:+.1f})"
        for m, low, high in (row["over_bare_percent"], row["over_kernels_percent"])
    ]
    return (
        f"| {row['model']} | {h}x{w} | {row['bare_ms']} | {row['kernels_ms']} | {row['program_ms']} | {over[0]} "
        f"| {over[1]} | {row['rounds']} | {row['stages']} | {row['trace_and_stage_s']:.2f} |"
    )


def main() -> int:
    """Print a table or JSON; 1 when a model takes longer than its limits."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", help="zoo names or package.module:factory; the whole zoo when left out")
    parser.add_argument("--input", default="480x640", metavar="HxW", help="for models that take any size")
    parser.add_argument("--budget", type=float, default=6.0, help="seconds for each model")
    parser.add_argument("--rounds", type=int, default=7, help="rounds at least, whatever they take")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as worker processes do; for both
    height, width = map(int, args.input.split("x"))
    partition_model(load_model("squeezenet1_1").module, 64, 64)  # torch.export's own first use takes a second
    rows = []
    if not args.json:
        print(HEADER)
    for name in args.models or zoo_names():
        rows.append(measure(name, height, width, args.budget, args.rounds))
        if not args.json:
            print(line(rows[-1]), flush=True)
    if args.json:
        print(json.dumps({"torch": torch.__version__, "python": platform.python_version(), "rows": rows}))
    return int(any(row["over_bare_percent"][0] > 5 or row["trace_and_stage_s"] > 5 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
