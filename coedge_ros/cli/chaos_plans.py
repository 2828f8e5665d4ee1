"""Plans in scenarios: whose rows they are, and whether `coedge plan` makes the same of the same figures."""

from __future__ import annotations

import copy
import io
import json
import tempfile
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import yaml

from coedge_ros.cli.chaos_scenarios import Hands
from coedge_ros.msg import ManagerStatus, PartitionPlan, WorkerStatus


def share_of(plan: PartitionPlan, worker: str) -> float:
    """Part of the rows that a worker has, mean over the stages; 0 where the plan does without it."""
    if worker not in plan.workers:
        return 0.0
    index, width = list(plan.workers).index(worker), len(plan.workers) + 1
    stages = [plan.boundaries[i : i + width] for i in range(0, len(plan.boundaries), width)]
    return sum((b[index + 1] - b[index]) / b[-1] for b in stages) / len(stages)


def differs_from_command(hands: Hands, figures: str = "planned") -> list[str]:
    """Problems unless `coedge plan` makes the plan in force of figures that the manager tells.

    `figures` are those that it says the plan was made with ("planned"), or those of this moment ("now").
    """
    hands.traffic.settle()
    status = hands.status
    (plan,) = [p for p in hands.listening.record.plans if (p.session, p.epoch) == (status.session, status.epoch)]
    values = with_figures(hands.cluster.values, status, hands.listening.record.workers, figures)
    other = plan_by_command(values, hands.setting.model, hands.cluster.weights, hands.cluster.size)
    theirs = [b for row in other["boundaries"] for b in row]
    if (list(plan.workers), list(plan.cuts), list(plan.boundaries)) == (other["workers"], other["cuts"], theirs):
        return []
    return [f"the plan has the rows {list(plan.boundaries)}, `coedge plan` makes {theirs} of the same figures"]


def with_figures(
    values: dict[str, Any], status: ManagerStatus, workers: dict[str, WorkerStatus], figures: str = "planned"
) -> dict[str, Any]:
    """The values of a cluster file with what was announced and estimated."""
    prefix = {"planned": "planned_", "now": ""}[figures]
    factors = {speed.name: getattr(speed, f"{prefix}factor") for speed in status.speeds}
    values = at_speeds(values, factors)
    for worker in values["workers"]:
        worker["macs_per_s"] = workers[worker["name"]].speed_macs_per_s
    values["links"]["pairs"] = [
        {"from": link.source, "to": link.target, "both_ways": False,
         "alpha_s": getattr(link, f"{prefix}alpha_s"), "bytes_per_s": getattr(link, f"{prefix}bytes_per_s")}
        for link in status.links
    ]  # fmt: skip
    return values


def at_speeds(values: dict[str, Any], factors: dict[str, float]) -> dict[str, Any]:
    """The values of a cluster file with workers that are slower or faster by a factor."""
    values = copy.deepcopy(values)
    for worker in values["workers"]:
        factor = factors.get(worker["name"], 1.0)
        worker["speed_factor"] = worker.get("speed_factor", 1.0) * factor
        for key in ("stage_s", "message_s"):
            worker[key] = worker.get(key, 0.0) / factor
    return values


def plan_by_command(values: dict[str, Any], model: str, weights: str, size: tuple[int, int]) -> dict[str, Any]:
    """The plan that the command prints as JSON, for least latency."""
    from coedge_ros.cli.main import main

    with tempfile.TemporaryDirectory(prefix="coedge_chaos_") as folder, redirect_stdout(io.StringIO()):
        cluster, answer = Path(folder) / "cluster.yaml", Path(folder) / "plan.json"
        cluster.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
        main(["plan", "--model", model, "--weights", weights, "--input", f"{size[0]}x{size[1]}", "--cluster",
              str(cluster), "--objective", "latency", "--json", str(answer)])  # fmt: skip
        return json.loads(answer.read_text())["plan"]
