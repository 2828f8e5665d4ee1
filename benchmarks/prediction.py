"""Predicted against measured latency: plans over real processes and DDS on this machine.

Each model and size is profiled once (stage times with both workers busy, message costs between two processes). Two
constants are fitted to four other plans, which are not in the table: what a stage costs beyond its kernels when
workers wait for each other (`stage_s` of the cluster file), and what a frame costs the manager, which the cost model
leaves out. Nothing is fitted to the plans that are then run: splits by several rows, fused and layer by layer, and one
worker alone. Frames follow each other at once; measured is the median of what the manager takes from the image to the
result.

    python benchmarks/prediction.py --json benchmarks/results/prediction.json --markdown docs/results/prediction.md
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, measured_cluster, own_domain

FITTED = (
    ("resnet18", (224, 224), ((0.6, "layers"), (0.6, "none"))),
    ("mobilenet_v2", (224, 224), ((0.4, "layers"), (0.4, "none"))),
)
# Model, size, and plans as (rows of two workers in parts of the height, cuts).
CASES = (
    ("resnet18", (224, 224), ((0.5, "layers"), (0.5, "none"), (0.7, "layers"), (1.0, "layers"))),
    ("resnet18", (480, 640), ((0.5, "layers"), (0.5, "none"), (0.3, "layers"), (0.8, "none"))),
    ("mobilenet_v2", (224, 224), ((0.5, "layers"), (0.5, "none"), (0.7, "none"), (1.0, "none"))),
    ("mobilenet_v2", (480, 640), ((0.5, "layers"), (0.5, "none"), (0.4, "layers"))),
    ("googlenet", (224, 224), ((0.5, "layers"), (0.6, "none"))),
    ("googlenet", (480, 640), ((0.5, "layers"), (0.75, "layers"))),
    ("vgg_f", (224, 224), ((0.5, "layers"), (0.5, "none"))),
    ("squeezenet1_1", (480, 640), ((0.5, "layers"), (0.4, "none"))),
)


def run_plan(
    values: dict, model: str, size: tuple[int, int], part: float, cuts: str, frames: int, frame_ms: float = 0.0
) -> dict:
    """One plan: what was predicted when it was made, and what its frames took."""
    first = round(part * size[0])
    manager = {
        "planner": "manual",
        "rows": f"{first},{size[0] - first}",
        "cuts": cuts,
        "frames_in_flight": 1,
        "track": False,
    }
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with BenchCluster(values, model, "", size, manager) as cluster:
        results = [cluster.answer(picture)[0] for _ in range(frames + 3)][3:]
        predicted_ms = cluster.plan.predicted_latency_s * 1e3 + frame_ms
        stages = len(cluster.plan.cuts) + 1
    measured_ms = median(result.latency_ms for result in results)
    return {
        "model": model, "input": "x".join(map(str, size)), "rows": [first, size[0] - first], "cuts": cuts,
        "stages": stages, "predicted_ms": round(predicted_ms, 2), "measured_ms": round(measured_ms, 2),
        "error_percent": round(100 * (predicted_ms / measured_ms - 1), 1),
    }  # fmt: skip


def fitted(frames: int, budget_s: float) -> tuple[float, float]:
    """Milliseconds per frame and per stage that predictions lack, least squares over the plans of `FITTED`."""
    rows, lacking = [], []
    for model, size, plans in FITTED:
        values = measured_cluster(equal_workers(2, 1), model, "", size, budget_s)
        for part, cuts in plans:
            found = run_plan(values, model, size, part, cuts, frames)
            rows.append([1.0, found["stages"]])
            lacking.append(found["measured_ms"] - found["predicted_ms"])
    per_frame, per_stage = np.linalg.lstsq(np.array(rows), np.array(lacking), rcond=None)[0]
    return max(0.0, float(per_frame)), max(0.0, float(per_stage))


def table_of(found: list[dict]) -> list[list[str]]:
    """Rows of the table, as text."""
    return [
        [f["model"], f["input"], " + ".join(map(str, f["rows"])), str(f["stages"]), f"{f['predicted_ms']:.1f}",
         f"{f['measured_ms']:.1f}", f"{f['error_percent']:+.1f}"]
        for f in found
    ]  # fmt: skip


COLUMNS = ("model", "input", "rows", "stages", "predicted ms", "measured ms", "error %")


def main() -> int:
    """Measure all cases; 0 when the median error is within 15 %."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of profiling per worker and row count")
    parser.add_argument("--only", default="", help="models, with commas")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--markdown", type=Path)
    args = parser.parse_args()
    own_domain()
    cases = [case for case in CASES if not args.only or case[0] in args.only.split(",")]
    console, found = Console(stderr=True), []
    frame_ms, stage_ms = fitted(args.frames, args.budget)
    console.print(f"fitted: {frame_ms:.2f} ms per frame, {stage_ms:.2f} ms per stage")
    with Progress(console=console) as progress:
        task = progress.add_task("plans", total=sum(len(plans) for _, _, plans in cases))
        for model, size, plans in cases:
            progress.update(task, description=f"{model} {size[0]}x{size[1]}")
            progress.stop()
            values = measured_cluster(equal_workers(2, 1), model, "", size, args.budget)
            progress.start()
            for worker in values["workers"]:
                worker["stage_s"] += stage_ms / 1e3
            for part, cuts in plans:
                found.append(run_plan(values, model, size, part, cuts, args.frames, frame_ms))
                console.print(found[-1])
                progress.advance(task)
    errors = [abs(f["error_percent"]) for f in found]
    table = Table(title=f"{len(found)} plans: median error {median(errors):.1f} %, largest {max(errors):.1f} %")
    for name in COLUMNS:
        table.add_column(name, justify="left" if name in ("model", "input") else "right")
    for row in table_of(found):
        table.add_row(*row)
    Console(width=110).print(table)
    if args.json:
        summary = {
            "fitted_ms": {"per_frame": frame_ms, "per_stage": stage_ms},
            "plans": found,
            "median_error_percent": median(errors),
            "largest_error_percent": max(errors),
        }
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(summary, indent=1) + "\n")
    if args.markdown:
        lines = ["| " + " | ".join(row) + " |" for row in [list(COLUMNS), ["---"] * len(COLUMNS), *table_of(found)]]
        args.markdown.parent.mkdir(parents=True, exist_ok=True)
        args.markdown.write_text(
            "# Prediction against reality\n\n"
            f"{__doc__.split(chr(10) * 2)[1].strip()}\n\n"
            f"Two workers with one thread each on a machine of two cores, {args.frames} frames per plan: "
            f"fitted {frame_ms:.2f} ms per frame and {stage_ms:.2f} ms per stage; "
            f"{len(found)} plans, median error {median(errors):.1f} %, largest {max(errors):.1f} %.\n\n"
            + "\n".join(lines)
            + f"\n\nMade by `python benchmarks/prediction.py --markdown {args.markdown}`.\n"
        )
    return 0 if median(errors) <= 15 else 1


if __name__ == "__main__":
    raise SystemExit(main())
