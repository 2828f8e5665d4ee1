"""Frames over a slow link: predicted against measured, with raw and with coded rows. Needs root, `ip` and `tc`.

Two network namespaces of this machine stand for two hosts with a link of 100 Mbit/s between them: one has the manager,
the first worker and the source of the frames, the other the second worker. Stage times are measured with both workers
busy, the link with messages between namespaces whose processors do not sleep either; with these figures the plan is
made that is then run, and nothing is fitted to what is measured. Planner `manual` halves the rows, exchanges them at
every layer and puts the codec on both links; `fused` chooses rows, cuts and codecs itself, the codec being the coarsest
that is allowed.

    sudo python benchmarks/shaped_frames.py --json benchmarks/results/shaped_frames.json
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
from network import A, B, TwoHosts, profile_text
from rich.console import Console
from rich.table import Table

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, measured_cluster, telling_weights
from coedge_ros.cli.planning_inputs import load_partitioned, parse_size
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.nodes.processes import ProcessGroup
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.schedule import TransferKind

MODELS = (("resnet18", "224x224"), ("resnet18", "480x640"), ("mobilenet_v2", "480x640"))
CASES = (("manual", "raw"), ("manual", "float16"), ("manual", "int8"), ("fused", "raw"), ("fused", "float16"))
REMOTE_CHUNK_BYTES = 30720
NEAR = f"""
import json
from coedge_ros.nodes.link_probe import near
figures = near(repeats=30, chunk_bytes={REMOTE_CHUNK_BYTES}, sizes=(1024, 16384, 65536, 262144), is_awake=True)
link = figures.link_beside_processors
print(json.dumps({{"alpha_s": link.alpha_s, "bytes_per_s": link.bytes_per_s}}))
"""
FAR = f"from coedge_ros.nodes.link_probe import far; far(chunk_bytes={REMOTE_CHUNK_BYTES}, is_awake=True)"


class OverTwoHosts(BenchCluster):
    """The second worker runs in the other namespace, everything else in this process's own."""

    def make_group(self, logs: Path) -> ProcessGroup:
        return _Spread(output=logs, log_level="info")


class _Spread(ProcessGroup):
    def _command(self, spec) -> list[str]:
        command = super()._command(spec)
        return ["ip", "netns", "exec", B, *command] if spec.name == "worker_2" else command


def link_between(hosts: TwoHosts, profile: Path) -> dict[str, float]:
    """What a message between the namespaces costs, processors' part left out."""
    far = hosts.start(B, FAR, profile, stderr=subprocess.DEVNULL)
    try:
        near = hosts.start(A, NEAR, profile, stdout=subprocess.PIPE, text=True)
        out, _ = near.communicate(timeout=120)
        return json.loads(out.splitlines()[-1])
    finally:
        far.terminate()
        far.wait(10)


def run_case(values: dict, model: str, weights: str, size, planner: str, codec: str, frames: int) -> dict:
    """One plan: what was predicted when it was made, and what its frames took."""
    half = size[0] // 2
    manager = {"planner": planner, "rows": f"{half},{size[0] - half}", "cuts": "layers", "codec": codec}
    picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    with OverTwoHosts(values, model, weights, size, manager) as cluster:
        results = [cluster.answer(picture)[0] for _ in range(frames + 5)][5:]
        plan, predicted_ms = plan_from_message(cluster.plan), cluster.plan.predicted_latency_s * 1e3
    measured_ms = median(result.latency_ms for result in results)
    transfers = derive_schedule(load_partitioned(model, size, weights).graph, plan).transfers
    between = [t for t in transfers if t.kind in (TransferKind.HALO, TransferKind.GATHER)]
    return {
        "model": model, "input": "x".join(map(str, size)), "planner": planner, "codec": codec, "stages": plan.stages,
        "coded_links": sum(c > 0 for row in plan.codecs for c in row),
        "rows_kb": sum(t.wire_bytes for t in between) / 1e3,
        "frame_kb": median(r.bytes_moved for r in results) / 1e3, "predicted_ms": round(predicted_ms, 1),
        "measured_ms": round(measured_ms, 1), "error_percent": round(100 * (predicted_ms / measured_ms - 1), 1),
        "p10_ms": round(float(np.percentile([r.latency_ms for r in results], 10)), 1),
        "p90_ms": round(float(np.percentile([r.latency_ms for r in results], 90)), 1),
        "issued_again": sum(r.attempts > 1 for r in results),
        "message_ms": values["workers"][0]["message_s"] * 1e3, "stage_ms": values["workers"][0]["stage_s"] * 1e3,
    }  # fmt: skip


def inside(args) -> None:
    """In the first namespace: profile, run the cases, write JSON."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for model, text in MODELS:
            if args.only and model not in args.only:
                continue
            size = parse_size(text)
            weights = telling_weights(model, "", size, Path(folder))
            values = measured_cluster(equal_workers(2, 1), model, weights, size, args.budget)
            values["hosts"] = [{"name": "here"}, {"name": "there"}]
            values["workers"][1]["host"] = "there"
            values["links"]["default"] = json.loads(args.link)
            values["manager"] = {"host": "here"}
            for planner, codec in CASES:
                found.append(run_case(values, model, weights, size, planner, codec, args.frames))
                print(found[-1], file=sys.stderr, flush=True)
    Path(args.inside).write_text(json.dumps(found))


def main() -> int:
    """Run all cases and print the table; 0 when all predictions are within 15 % and float16 halves the rows' bytes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=100.0, help="Mbit/s of the link")
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds of profiling per worker and row count")
    parser.add_argument("--only", nargs="+", help="models")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    parser.add_argument("--link", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.inside:
        inside(args)
        return 0
    if os.geteuid() != 0 or not all(map(shutil.which, ("ip", "tc"))):
        print("needs root, ip and tc: it makes two network namespaces and a shaped link between them", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder, TwoHosts(args.rate) as hosts:
        profile, result = Path(folder) / "profile.xml", Path(folder) / "result.json"
        profile.write_text(profile_text("wired"))
        link = link_between(hosts, profile)
        command = [__file__, *sys.argv[1:], "--inside", str(result), "--link", json.dumps(link)]
        code = f"import sys, runpy; sys.argv = {command!r}; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        if hosts.start(A, code + f"runpy.run_path({__file__!r}, run_name='__main__')", profile).wait():
            return 1
        found = json.loads(result.read_text())
    columns = [
        "model",
        "input",
        "planner",
        "codec",
        "stages",
        "rows_kb",
        "predicted_ms",
        "measured_ms",
        "error_percent",
    ]
    rate, alpha = link["bytes_per_s"] / 125e3, link["alpha_s"] * 1e3
    table = Table(title=f"{args.rate:g} Mbit/s: of which tensors get {rate:.1f}, and {alpha:.2f} ms per message")
    for name in columns:
        table.add_column(name.replace("_", " "), justify="left" if name in ("model", "planner", "codec") else "right")
    for row in found:
        table.add_row(*(str(row[name]) for name in columns))
    Console(width=120).print(table)
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        summary = {"command": " ".join(["python", *sys.argv]), "rate_mbit_s": args.rate, "link": link, "cases": found}
        args.json.write_text(json.dumps(summary, indent=1) + "\n")
    rows = {(r["model"], r["input"], r["codec"]): r["rows_kb"] for r in found if r["planner"] == "manual"}
    halved = all(abs(rows[m, s, "float16"] / kb - 0.5) < 1e-9 for (m, s, codec), kb in rows.items() if codec == "raw")
    return 0 if halved and all(abs(r["error_percent"]) <= 15 for r in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
