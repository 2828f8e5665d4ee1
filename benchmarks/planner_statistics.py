#!/usr/bin/env python3
"""How good the planners are: CoEdge's Algorithm 1 against the exact program, `fused` against every plan there is.

    python benchmarks/planner_statistics.py [--cases 200] [--tiny 120] [--json FILE]

Prints tables and writes the figures as JSON. Random clusters come from a seed: the same every time.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "test"))
from support.clusters import random_cluster
from support.graphs import GRAPHS, chain, dense, residual
from support.planning_requests import score_of, small_graph

from coedge_ros.planning.coedge_lp import algorithm_1
from coedge_ros.planning.exact import exact_shares
from coedge_ros.planning.exhaustive import best_of_all, count_of_plans
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.profile import Profile

SAME = 1e-6  # relative: two solvers' optima agree to this
MOST_PLANS = 150_000  # of a tiny instance


def small_requests(count: int, seed: int = 0):
    """Energy within a deadline, 2 to 4 unequal workers, deadlines from tight to loose."""
    rng = random.Random(seed)
    for _ in range(count):
        graph = small_graph(rng.choice(list(GRAPHS)), 48)
        profile = Profile(random_cluster(rng, rng.choice([2, 3, 4]), graph.total_macs))
        deadline_s = rng.choice([0.6, 0.8, 1.0, 1.25]) * best_single_latency_s(graph, profile)
        yield PlanRequest(graph, profile, "coedge", "energy", deadline_s)


def tiny_requests(count: int, seed: int = 0):
    """Models of 2 to 4 layers on maps of 6 to 10 rows, 2 or 3 workers, all objectives."""
    rng = random.Random(seed)
    found = 0
    while found < count:
        height = rng.choice([6, 8, 10])
        layers = rng.choice([2, 3, 4])
        strides = [rng.choice([1, 1, 2]) for _ in range(layers)]
        channels = [rng.choice([4, 8, 16]) for _ in range(layers)]
        kind = rng.choice(["chain", "chain", "dense", "residual"])
        graph = chain(height, 8, channels, strides) if kind == "chain" else None
        graph = graph or (dense(height, 8) if kind == "dense" else residual(2 * height, 8, 1))
        profile = Profile(random_cluster(rng, rng.choice([2, 2, 3]), graph.total_macs))
        objective = rng.choice(["energy", "energy", "latency", "throughput"])
        factor = rng.choice([0.7, 0.9, 1.1]) if objective == "energy" else None
        deadline_s = factor and factor * best_single_latency_s(graph, profile)
        request = PlanRequest(graph, profile, "fused", objective, deadline_s)
        if count_of_plans(request) <= MOST_PLANS:
            found += 1
            yield request


def coedge_against_exact(requests) -> dict:
    """Both programs with real shares and the same cost terms, and their plans as they would be executed."""
    gaps, plan_gaps = [], []
    counts = dict.fromkeys(("cases", "exact_feasible", "wrongly_infeasible", "optimal", "plan_wrongly_infeasible"), 0)
    for request in requests:
        counts["cases"] += 1
        costs = request.tables.layer_costs(request.tables.layer_cuts)
        best = exact_shares(costs, request.devices, request.deadline_s)
        found = algorithm_1(costs, request.devices, request.deadline_s)
        if best is None:
            assert found is None, "Algorithm 1 found shares that the exact program says do not exist"
            continue
        counts["exact_feasible"] += 1
        if found is None:
            counts["wrongly_infeasible"] += 1
        else:
            index = list(found.program.active)
            gap = found.program.total_j(found.shares[index]) / best.energy_j - 1
            gaps.append(max(gap, 0.0))
            counts["optimal"] += gap <= SAME
        coedge = make_plan(request)
        exact = make_plan(PlanRequest(request.graph, request.profile, "exact", "energy", request.deadline_s))
        if exact.is_feasible and not coedge.is_feasible:
            counts["plan_wrongly_infeasible"] += 1
        elif exact.is_feasible:
            plan_gaps.append(coedge.predicted.energy_j / exact.predicted.energy_j - 1)
    return {
        **counts,
        "mean_gap_percent": 100 * float(np.mean(gaps)),
        "worst_gap_percent": 100 * float(np.max(gaps)),
        "plan_mean_gap_percent": 100 * float(np.mean(plan_gaps)),
        "plan_worst_gap_percent": 100 * float(np.max(plan_gaps)),
        "plan_better_than_exact": int(sum(gap < -SAME for gap in plan_gaps)),
    }


def fused_against_all(requests) -> dict:
    """`fused` against the best of every plan: cuts x rows of every stage x heads."""
    gaps, plans, split = [], 0, 0
    for request in requests:
        best = best_of_all(request)
        outcome = make_plan(request)
        gaps.append(score_of(request, outcome.plan) / best.score - 1)
        plans += best.plans
        split += sum(worker.macs > 0 for worker in request.evaluator.predict(best.plan).workers) > 1
    gaps = np.maximum(np.array(gaps), 0.0)
    return {
        "cases": len(gaps),
        "best_is_split": split,
        "plans_evaluated": plans,
        "optimal": int((gaps <= SAME).sum()),
        "within_1_percent": int((gaps <= 0.01).sum()),
        "mean_gap_percent": 100 * float(gaps.mean()),
        "worst_gap_percent": 100 * float(gaps.max()),
        "gaps_percent": [round(100 * float(gap), 3) for gap in sorted(gaps, reverse=True)[:10]],
    }


def table(title: str, rows: list[tuple[str, str]]) -> Table:
    found = Table(title=title, title_justify="left")
    found.add_column("")
    found.add_column("", justify="right")
    for row in rows:
        found.add_row(*row)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=200, help="clusters for coedge against exact")
    parser.add_argument("--tiny", type=int, default=120, help="instances for fused against every plan")
    parser.add_argument("--json", default="", metavar="FILE")
    args = parser.parse_args()
    console = Console()
    coedge = coedge_against_exact(small_requests(args.cases))
    feasible = coedge["exact_feasible"]
    console.print(
        table(
            f"Algorithm 1 against the exact program, {args.cases} random clusters",
            [
                ("the exact program finds shares within the deadline", f"{feasible}"),
                ("  of these, Algorithm 1 says infeasible", f"{coedge['wrongly_infeasible']}"),
                ("  of these, Algorithm 1 is optimal", f"{coedge['optimal']}"),
                ("mean gap in energy where it finds shares", f"{coedge['mean_gap_percent']:.2f} %"),
                ("worst gap", f"{coedge['worst_gap_percent']:.2f} %"),
                ("as plans, rounded, in the full cost model:", ""),
                ("  exact's meets the deadline and coedge's does not", f"{coedge['plan_wrongly_infeasible']}"),
                ("  mean gap where both do", f"{coedge['plan_mean_gap_percent']:.2f} %"),
                ("  worst gap", f"{coedge['plan_worst_gap_percent']:.2f} %"),
                ("  coedge's is the better one", f"{coedge['plan_better_than_exact']}"),
            ],
        )
    )
    fused = fused_against_all(tiny_requests(args.tiny))
    console.print(
        table(
            f"fused against every plan of {args.tiny} tiny instances",
            [
                ("plans evaluated for that", f"{fused['plans_evaluated']:,}"),
                ("instances whose best plan is split", f"{fused['best_is_split']}"),
                ("fused finds the best plan", f"{fused['optimal']}"),
                ("within 1 %", f"{fused['within_1_percent']}"),
                ("mean gap", f"{fused['mean_gap_percent']:.3f} %"),
                ("worst gap", f"{fused['worst_gap_percent']:.3f} %"),
            ],
        )
    )
    if args.json:
        Path(args.json).write_text(json.dumps({"coedge_against_exact": coedge, "fused_against_all": fused}) + "\n")


if __name__ == "__main__":
    main()
