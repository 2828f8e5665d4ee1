"""`coedge chaos`: break a running cluster on purpose and count what became of the frames."""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path

from coedge_ros.cli.chaos_report import Row, print_table, summarise
from coedge_ros.cli.namespaces import variable
from coedge_ros.cli.planning_inputs import add_model_arguments, parse_size
from coedge_ros.errors import UserError

QUICK = ("kill-one", "hang", "kill-all")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `coedge chaos`."""
    add_model_arguments(parser, "mobilenet_v2", "224x224")
    parser.add_argument("--workers", type=int, default=3, help="worker processes")
    parser.add_argument("--rate", type=float, default=10.0, help="frames per second")
    parser.add_argument("--only", default="", metavar="NAME,..", help="scenarios, with commas")
    parser.add_argument("--repeat", type=int, default=0, help="repetitions of each, instead of its own number")
    parser.add_argument("--quick", action="store_true", help=f"{', '.join(QUICK)}, once each")
    parser.add_argument("--messages", type=int, default=20_000, help="broken messages of the scenario fuzz")
    parser.add_argument("--soak-s", type=float, default=1200.0, metavar="S", help="length of the scenario soak")
    parser.add_argument("--seed", type=int, default=0, help="of what is chosen at random")


def run(args: argparse.Namespace) -> int:
    """Run the scenarios, print the table, and end with one line of JSON; 0 only when all hold."""
    from rich.console import Console
    from rich.progress import Progress

    from coedge_ros.cli.bench_cluster import telling_weights
    from coedge_ros.cli.chaos_setting import Setting
    from coedge_ros.cli.chaos_table import SCENARIOS

    scenarios, size = dict(SCENARIOS), parse_size(args.input)
    names = [n for n in args.only.split(",") if n] or list(QUICK if args.quick else scenarios)
    if unknown := [n for n in names if n not in scenarios]:
        raise UserError(f"there is no scenario {', '.join(unknown)}; there are {', '.join(scenarios)}")
    if args.workers < 2 or not args.rate > 0 or size is None:
        raise UserError("--workers must be 2 or more, --rate more than 0, and --input is needed")
    rows = []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="coedge_chaos_")))
        stack.enter_context(variable("COEDGE_CACHE_DIR", str(folder / "cache")))  # what is kept is of this run
        progress = stack.enter_context(Progress(console=Console(stderr=True)))
        weights = telling_weights(args.model, args.weights, size, folder)
        rng = random.Random(args.seed)
        setting = Setting(args.model, weights, size, args.workers, args.rate, rng, args.messages, args.soak_s)
        jobs = []
        for name in names:
            if reason := scenarios[name].lacks():
                rows.append(_not_run(name, reason))
            elif scenarios[name].alone and len(names) > 1:
                rows.append(_in_a_process(args, name))
            else:
                jobs += [name] * (args.repeat or (1 if args.quick else scenarios[name].repetitions))
        task = progress.add_task("chaos", total=len(jobs))
        for opening, group in groupby(jobs, key=lambda name: scenarios[name].cluster):
            with opening(setting) as hands:
                for name in group:
                    progress.update(task, description=name)
                    rows.append(_scenario(name, scenarios[name].run, hands))
                    progress.advance(task)
    print_table(rows)
    summary = {name: summarise([r for r in rows if r.scenario == name]) for name in names}
    print(json.dumps({"holds": all(r.holds for r in rows), "scenarios": summary}), flush=True)
    return 0 if all(r.holds for r in rows) else 1


def _in_a_process(args: argparse.Namespace, name: str) -> Row:
    """Run one scenario by a command of its own."""
    command = [sys.executable, "-c", "import sys; from coedge_ros.cli.main import main; sys.exit(main())", "chaos"]
    for option in ("model", "weights", "input", "workers", "rate", "seed"):
        command += [f"--{option}", str(getattr(args, option))]
    answer = subprocess.run([*command, "--only", name], stdout=subprocess.PIPE, text=True).stdout
    try:
        found = json.loads(answer.splitlines()[-1])["scenarios"][name]
    except (IndexError, ValueError, KeyError):
        return Row(name, problems=("it ended without a result",))
    known = {key: found.pop(key) for key in list(found) if key in Row.__dataclass_fields__}
    known["problems"] = tuple(known["problems"])
    return Row(name, **known, figures={k: v for k, v in found.items() if k not in ("repetitions", "holds", "each")})


def _not_run(name: str, reason: str) -> Row:
    """A scenario that this machine cannot run is skipped; where CI is set, which can run all, it fails."""
    return Row(name, skipped=reason, problems=(f"cannot run: {reason}",) if os.environ.get("CI") else ())


def _scenario(name: str, scenario, hands) -> Row:
    hands.traffic.reset()
    dropped = sum(hands.status.dropped_counts)
    found = scenario(hands)
    hands.traffic.settle(lambda: max(0, sum(hands.status.dropped_counts) - dropped))
    account = hands.traffic.account
    dropped = max(0, sum(hands.status.dropped_counts) - dropped)
    lost = max(0, account.unanswered - dropped)
    problems = list(found.problems)
    for what, count in (("lost", lost), ("answered twice", account.duplicated), ("wrong", account.wrong)):
        if count:
            problems.append(f"{count} frames {what}")
    if account.fallbacks and not found.fallback_allowed:
        problems.append("the manager answered by itself while a worker lived")
    return Row(
        name, len(account.sent_s), len(account.answered_s), dropped, lost, account.duplicated, account.wrong,
        round(len(account.fallbacks) / max(1, len(account.answered_s)), 3), round(account.worst_latency_s() * 1e3, 1),
        _ms(found.detect_s), _ms(found.replan_s), *account.largest, tuple(problems), found.figures,
    )  # fmt: skip


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)
