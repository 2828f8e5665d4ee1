"""`coedge chaos`: break a running cluster on purpose and count what became of the frames."""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from coedge_ros.errors import UserError

QUICK = ("kill-one", "hang", "kill-all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge chaos`."""
    parser.add_argument("--model", default="mobilenet_v2", help="zoo name, package.module:factory, or a .pt2 file")
    parser.add_argument("--weights", default="", help="file of weights, or imagenet; random ones when left out")
    parser.add_argument("--input", default="224x224", metavar="HxW", help="input size of the model")
    parser.add_argument("--workers", type=int, default=3, help="worker processes")
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second")
    parser.add_argument("--only", default="", metavar="NAME,..", help="scenarios, with commas")
    parser.add_argument("--repeat", type=int, default=0, help="repetitions of each, instead of its own number")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)}, once each")
    parser.add_argument("--seed", type=int, default=0, help="of what is chosen at random")


@dataclass(frozen=True)
class Row:
    """One repetition of a scenario."""

    scenario: str
    sent: int
    answered: int
    dropped: int
    lost: int
    duplicated: int
    wrong: int
    fallback_fraction: float
    worst_latency_ms: float
    detect_ms: float | None
    replan_ms: float | None
    max_abs_diff: float
    scale: float
    problems: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether everything is as it must be."""
        return not self.problems


def run(args: argparse.Namespace) -> int:
    """Run the scenarios, print the table, and end with one line of JSON; 0 only when all hold."""
    from rich.console import Console
    from rich.progress import Progress

    from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, own_domain, telling_weights
    from coedge_ros.cli.chaos_scenarios import REPETITIONS, SCENARIOS, Hands
    from coedge_ros.cli.chaos_traffic import Traffic
    from coedge_ros.cli.planning_inputs import parse_size
    from coedge_ros.nodes.collector import Listening

    size, names = (
        parse_size(args.input),
        [n for n in args.only.split(",") if n] or list(QUICK if args.quick else SCENARIOS),
    )
    if unknown := [n for n in names if n not in SCENARIOS]:
        raise UserError(f"there is no scenario {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    if args.workers < 2 or not args.rate > 0 or size is None:
        raise UserError("--workers must be 2 or more, --rate more than 0, and --input is needed")
    jobs = [n for n in names for _ in range(args.repeat or (1 if args.quick else REPETITIONS.get(n, 1)))]
    own_domain()
    values = equal_workers(args.workers, 1)
    for worker in values["workers"]:
        worker["speed_factor"] = 0.08  # boards so slow that splitting pays in the plan: all workers take part
    manager = {"queue_frames": 1000, "frames_in_flight": 3, "frame_timeout_s": 0.8, "lost_after_s": 1.0}
    workers, rows = tuple(worker["name"] for worker in values["workers"]), []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coedge_chaos_")))
        weights = telling_weights(args.model, args.weights, size, folder)
        pictures, expected = pictures_and_answers(args.model, weights, size)
        cluster = stack.enter_context(BenchCluster(values, args.model, weights, size, manager))
        listening = stack.enter_context(Listening("coedge"))
        progress = stack.enter_context(Progress(console=Console(stderr=True)))
        task = progress.add_task("chaos", total=len(jobs))
        traffic = Traffic(cluster.feeder, pictures, expected, args.rate, lambda: listening.spin(0.002))
        hands = Hands(cluster, listening, traffic, workers, random.Random(args.seed))
        _wait_for_all(hands, listening)
        for name in jobs:
            progress.update(task, description=name)
            rows.append(_scenario(name, SCENARIOS[name], hands))
            progress.advance(task)
    _print(rows)
    summary = {name: _summary([r for r in rows if r.scenario == name]) for name in dict.fromkeys(jobs)}
    print(json.dumps({"holds": all(r.holds for r in rows), "scenarios": summary}), flush=True)
    return 0 if all(r.holds for r in rows) else 1


def pictures_and_answers(model: str, weights: str, size: tuple[int, int], count: int = 3):
    """Frames of noise and what the whole model answers to each."""
    import torch

    from coedge_ros.graph.loading import load_model
    from coedge_ros.graph.trace import PixelInput

    loaded = load_model(model, weights=weights or None)
    whole = PixelInput(loaded.module, loaded.mean, loaded.std).eval()
    pictures = [np.random.default_rng(i).integers(0, 256, (*size, 3), dtype=np.uint8) for i in range(count)]
    with torch.inference_mode():
        answers = [
            torch.utils._pytree.tree_leaves(whole(torch.from_numpy(p).permute(2, 0, 1).unsqueeze(0))) for p in pictures
        ]
    return pictures, answers


def _wait_for_all(hands, listening, limit_s: float = 60.0) -> None:
    end = time.monotonic() + limit_s
    while not (listening.record.plans and hands.all_used()):
        listening.spin(0.05)
        if time.monotonic() > end:
            raise UserError(f"not all workers were used within {limit_s:.0f} s")


def _scenario(name: str, scenario, hands) -> Row:
    hands.traffic.reset()
    dropped = sum(hands.status.dropped_counts)
    found = scenario(hands)
    hands.traffic.settle()
    account = hands.traffic.account
    dropped = max(0, sum(hands.status.dropped_counts) - dropped)
    problems = list(found.problems)
    for what, count in (("lost", account.lost), ("answered twice", account.duplicated), ("wrong", account.wrong)):
        if count:
            problems.append(f"{count} frames {what}")
    if account.fallbacks and not found.fallback_allowed:
        problems.append("the manager answered by itself while a worker lived")
    return Row(
        name, len(account.sent_s), len(account.answered_s), dropped, account.lost, account.duplicated, account.wrong,
        round(len(account.fallbacks) / max(1, len(account.answered_s)), 3), round(account.worst_latency_s() * 1e3, 1),
        _ms(found.detect_s), _ms(found.replan_s), *account.largest, tuple(problems),
    )  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)


def _summary(rows: list[Row]) -> dict:
    """Worst figures of a scenario's repetitions."""
    total = {
        key: sum(getattr(r, key) for r in rows)
        for key in ("sent", "answered", "dropped", "lost", "duplicated", "wrong")
    }
    worst = {
        key: max((v for r in rows if (v := getattr(r, key)) is not None), default=None)
        for key in ("fallback_fraction", "worst_latency_ms", "detect_ms", "replan_ms", "max_abs_diff")
    }
    problems = [problem for r in rows for problem in r.problems]
    return {"repetitions": len(rows), **total, **worst, "holds": not problems, "problems": problems,
            "each": [asdict(r) for r in rows] if len(rows) > 1 else []}  # fmt: skip


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="what became of the frames (times in ms, the worst of all repetitions)")
    columns = (
        "scenario",
        "sent",
        "answered",
        "lost",
        "twice",
        "wrong",
        "alone",
        "worst",
        "detected",
        "planned",
        "holds",
    )
    for name in columns:
        table.add_column(name, justify="left" if name == "scenario" else "right")
    for name in dict.fromkeys(r.scenario for r in rows):
        s = _summary([r for r in rows if r.scenario == name])
        text = f"{name} x {s['repetitions']}" if s["repetitions"] > 1 else name
        cells = [s["sent"], s["answered"], s["lost"], s["duplicated"], s["wrong"], f"{s['fallback_fraction']:.0%}",
                 s["worst_latency_ms"], s["detect_ms"], s["replan_ms"], "yes" if s["holds"] else "NO"]  # fmt: skip
        table.add_row(text, *["" if cell is None else str(cell) for cell in cells])
    console = Console(width=110)
    console.print(table)
    for row in rows:
        for problem in row.problems:
            print(f"{row.scenario}: {problem}", file=sys.stderr)
