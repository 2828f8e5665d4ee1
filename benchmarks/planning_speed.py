#!/usr/bin/env python3
"""How long planning takes on one core: per model on the paper's testbed, and with up to 100 workers.

    python benchmarks/planning_speed.py [--models alexnet,googlenet] [--repeats 5] [--json FILE]

Processor time of this process, which other programs disturb less than the clock; numpy's threads are limited to one.
"First" is the first plan of a model in a process, "again" a plan after every link's bandwidth has changed: what is
known of the model is reused.
"""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import gc
import json
import platform
import time
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from coedge_ros.cli.planning_inputs import load_graph, parse_size
from coedge_ros.planning.model_tables import tables_of
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster import ClusterSpec, Host, WorkerSpec
from coedge_ros.spec.cluster_file import load_cluster
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.profile import Profile

PAPER = Path(__file__).resolve().parents[1] / "config" / "testbeds" / "coedge_paper.yaml"
PLANNERS = ("coedge", "fused")
MBIT_S = (10.0, 62.0, 100.0, 300.0)
DEADLINE = 0.75  # of the best single worker
WORKERS = (1, 2, 4, 6, 8, 12, 16, 24, 50, 100)


def seconds(function) -> float:
    gc.collect()
    start = time.process_time()
    function()
    return time.process_time() - start


def with_rate(cluster: ClusterSpec, mbit_s: float) -> ClusterSpec:
    return cluster.with_bandwidth(mbit_s * 1e6 / 8)


def per_model(name: str, graph: ModelGraph, cluster: ClusterSpec, planner: str, repeats: int) -> dict:
    """First plan of a fresh copy of the graph, then plans at other rates; the least of the repeats of each."""
    limit = DEADLINE * best_single_latency_s(graph, Profile(with_rate(cluster, MBIT_S[1])))
    firsts, agains = [], {rate: [] for rate in MBIT_S}
    for _ in range(repeats):
        fresh = replace(graph)  # nothing is known of it yet
        request = PlanRequest(fresh, Profile(with_rate(cluster, MBIT_S[1])), planner, "energy", limit)
        firsts.append(seconds(lambda request=request: make_plan(request)))
        for rate in MBIT_S:
            profile = Profile(with_rate(cluster, rate))
            again = PlanRequest(fresh, profile, planner, "energy", DEADLINE * best_single_latency_s(fresh, profile))
            agains[rate].append(seconds(lambda request=again: make_plan(request)))
    return {
        "model": name,
        "planner": planner,
        "operators": len(graph.operators),
        "layers": len(tables_of(graph).layer_cuts) + 1,
        "first_ms": 1e3 * min(firsts),
        "again_ms": {f"{rate:g}": 1e3 * min(times) for rate, times in agains.items()},
    }


def many_workers(cluster: ClusterSpec, count: int) -> ClusterSpec:
    """The paper's six kinds of worker, again and again."""
    kinds = cluster.workers
    workers = tuple(
        replace(kinds[i % len(kinds)], name=f"w{i}", host=f"h{i}", macs_per_s=kinds[i % len(kinds)].macs_per_s)
        for i in range(count)
    )
    hosts = tuple(Host(f"h{i}", cores=cluster.host(kinds[i % len(kinds)].host).cores) for i in range(count))
    assert all(isinstance(worker, WorkerSpec) for worker in workers)
    return replace(cluster, hosts=hosts, workers=workers, links={}, manager_host="h0", camera_host="", expected=())


def growth(graph: ModelGraph, cluster: ClusterSpec, counts, repeats: int) -> list[dict]:
    """ResNet-50's graph with more and more workers, at 300 Mbit/s, where splitting pays."""
    rows = []
    for count in counts:
        profile = Profile(with_rate(many_workers(cluster, count), 300.0))
        row = {"workers": count}
        for planner in PLANNERS:
            limit = DEADLINE * best_single_latency_s(graph, profile)
            times, outcome = [], None
            for _ in range(repeats):
                request = PlanRequest(graph, profile, planner, "energy", limit)
                start = time.process_time()
                outcome = make_plan(request)
                times.append(time.process_time() - start)
            row[planner] = {
                "ms": 1e3 * min(times),
                "status": str(outcome.status),
                "latency_ms": 1e3 * outcome.predicted.latency_s,
                "working": sum(worker.macs > 0 for worker in outcome.predicted.workers),
            }
        rows.append(row)
    return rows


def print_models(console: Console, rows: list[dict]) -> None:
    table = Table(title="Planning for the paper's testbed, processor milliseconds", title_justify="left")
    for name in (
        "model",
        "planner",
        "operators",
        "layers",
        "first plan",
        *(f"again {rate:g} Mbit/s" for rate in MBIT_S),
    ):
        table.add_column(name, justify="left" if name in ("model", "planner") else "right")
    for row in rows:
        again = [f"{value:.0f}" for value in row["again_ms"].values()]
        table.add_row(
            row["model"], row["planner"], str(row["operators"]), str(row["layers"]), f"{row['first_ms']:.0f}", *again
        )
    console.print(table)


def print_growth(console: Console, rows: list[dict], model: str) -> None:
    table = Table(title=f"{model} with more workers, processor milliseconds", title_justify="left")
    for name in ("workers", "coedge", "fused", "fused works with", "fused latency [ms]", "coedge latency [ms]"):
        table.add_column(name, justify="right")
    for row in rows:
        coedge, fused = row["coedge"], row["fused"]
        table.add_row(
            str(row["workers"]), f"{coedge['ms']:.0f}", f"{fused['ms']:.0f}", str(fused["working"]),
            f"{fused['latency_ms']:.1f}", f"{coedge['latency_ms']:.1f}",
        )  # fmt: skip
    console.print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="alexnet,vgg_f,googlenet,mobilenet_v1,resnet50")
    parser.add_argument("--input", default="", metavar="HxW", help="the models' own size when left out")
    parser.add_argument("--growth-model", default="resnet50")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", default="", metavar="FILE")
    args = parser.parse_args()
    cluster, console = load_cluster(PAPER), Console(width=130)
    names = args.models.split(",")
    graphs = {name: load_graph(name, parse_size(args.input)) for name in dict.fromkeys([*names, args.growth_model])}
    models = [per_model(name, graphs[name], cluster, p, args.repeats) for name in names for p in PLANNERS]
    print_models(console, models)
    grown = growth(graphs[args.growth_model], cluster, WORKERS, max(1, args.repeats // 2))
    print_growth(console, grown, args.growth_model)
    if args.json:
        machine = {"machine": platform.processor() or platform.machine(), "python": platform.python_version()}
        Path(args.json).write_text(json.dumps({**machine, "models": models, "growth": grown}) + "\n")


if __name__ == "__main__":
    main()
