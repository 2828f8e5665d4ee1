"""Does the planner ever split a frame that one worker alone would answer sooner? Two workers, over DDS.

Each model and size is profiled; then the cluster with the planner's choice and, where that is a split, a second one
with a single worker answer frames in turn. A choice is wrong when the whole 95 % interval of the ratio is above 1.03.

    python benchmarks/split_choice.py --json benchmarks/results/split_choice.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, measured_cluster, own_domain, telling_weights
from coedge_ros.cli.bench_report import interval
from coedge_ros.cli.planning_inputs import parse_size
from coedge_ros.errors import UserError
from coedge_ros.graph.zoo.registry import zoo_entry, zoo_names
from coedge_ros.nodes.messages import plan_from_message

SIZES = ("224x224", "480x640")
WARM_FRAMES = 5
TOLERATED = 1.03


def choice_of(model: str, size: tuple[int, int], pairs: int, folder: Path) -> dict:
    """What the planner chooses for a model, and what it costs beside one worker alone."""
    weights = telling_weights(model, "", size, folder)
    values = measured_cluster(equal_workers(2, 1), model, weights, size, budget_s=0.3)
    found = {"model": model, "input": "x".join(map(str, size))}
    with BenchCluster(values, model, weights, size, {"track": False}) as chosen:
        plan = chosen.plan
        found |= {"predicted_ms": round(plan.predicted_latency_s * 1e3, 2), "stages": len(plan.cuts) + 1}
        stages = plan_from_message(plan).boundaries
        if all(sum(a < b for a, b in pairwise(bounds)) == 1 for bounds in stages):
            return found | {"split": False, "why": plan.explanation}
        alone = {"track": False, "planner": "manual", "rows": f"{size[0]},0", "cuts": "none"}
        with BenchCluster(values, model, weights, size, alone, namespace="alone") as single:
            return found | {"split": True} | _in_turn(chosen, single, size, pairs)


def _in_turn(chosen: BenchCluster, single: BenchCluster, size: tuple[int, int], pairs: int) -> dict:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    seconds = [(chosen.answer(frame)[1], single.answer(frame)[1]) for _ in range(pairs + WARM_FRAMES)][WARM_FRAMES:]
    ratios = [split / alone for split, alone in seconds]
    split_s, alone_s = zip(*seconds, strict=True)
    return {
        "split_ms": round(median(split_s) * 1e3, 2), "alone_ms": round(median(alone_s) * 1e3, 2),
        "ratio": round(median(ratios), 4), "interval": interval(ratios),
    }  # fmt: skip


def cases(names: list[str], sizes: list[str]) -> list[tuple[str, tuple[int, int]]]:
    """Models and sizes; a model for one size only has that one."""
    found = []
    for name in names:
        entry = zoo_entry(name)
        found += [(name, tuple(entry.input_size))] if entry.fixed_input else [(name, parse_size(s)) for s in sizes]
    return found


def main() -> int:
    """Measure and print; 1 when a split is slower than one worker alone."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", default=",".join(zoo_names()), help="zoo names, with commas")
    parser.add_argument("--sizes", default=",".join(SIZES), help="input sizes, with commas")
    parser.add_argument("--pairs", type=int, default=20, help="frames of each kind")
    parser.add_argument("--json", type=Path, help="write the result there; what is in it already is not measured again")
    args = parser.parse_args()
    own_domain()
    console = Console(stderr=True)
    found = json.loads(args.json.read_text())["cases"] if args.json and args.json.exists() else []
    known = {(case["model"], case["input"]) for case in found}
    todo = [
        (m, s)
        for m, s in cases(args.models.split(","), args.sizes.split(","))
        if (m, "x".join(map(str, s))) not in known
    ]
    with tempfile.TemporaryDirectory(prefix="coedge_choice_") as folder, Progress(console=console) as progress:
        task = progress.add_task("", total=len(todo))
        for model, size in todo:
            progress.update(task, description=f"{model} {size[0]}x{size[1]}")
            try:
                found.append(choice_of(model, size, args.pairs, Path(folder)))
            except UserError as error:
                console.print(f"{model}: {error}")
            progress.advance(task)
            if args.json:
                args.json.write_text(json.dumps({"pairs": args.pairs, "cases": found}, indent=1) + "\n")
    wrong = [case for case in found if case["split"] and case["interval"][0] > TOLERATED]
    print_cases(found)
    print(json.dumps({"cases": len(found), "splits": sum(c["split"] for c in found), "wrong": len(wrong)}))
    return 1 if wrong else 0


def print_cases(found: list[dict]) -> None:
    """A row per model and size."""
    table = Table(title="the planner's choice beside one worker alone")
    for name in ("model", "input", "split ms", "alone ms", "split / alone"):
        table.add_column(name, justify="left" if name in ("model", "input") else "right")
    for case in found:
        cells = ["not split", "", ""]
        if case["split"]:
            low, high = case["interval"]
            cells = [
                f"{case['split_ms']:.1f}",
                f"{case['alone_ms']:.1f}",
                f"{case['ratio']:.2f} ({low:.2f} to {high:.2f})",
            ]
        table.add_row(case["model"], case["input"], *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    raise SystemExit(main())
