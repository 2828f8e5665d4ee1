"""Figures of a benchmark: medians, ratios of pairs, and bootstrap intervals of them."""

from __future__ import annotations

import argparse
import math
import platform
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

from coedge_ros.cli.planning_inputs import load_partitioned, parse_size
from coedge_ros.nodes.link_probe import CHUNK_BYTES
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan


def interval(ratios: list[float], rounds: int = 2000) -> list[float]:
    """Bootstrap 95 % interval of the median, with a fixed seed."""
    rng = np.random.default_rng(0)
    values = np.asarray(ratios)
    medians = np.median(rng.choice(values, (rounds, len(values))), axis=1)
    return [round(float(q), 4) for q in np.quantile(medians, (0.025, 0.975))]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p90 and p99 in milliseconds."""
    return {f"p{q}": round(float(np.percentile(seconds, q)) * 1e3, 3) for q in (50, 90, 99)}


# Where a worker's time goes: waiting for pixels, the trunk, waiting for neighbours, sending, waiting for what the head
# reads, and the head.
_SPLIT = {
    "scatter": lambda u: u.scatter_ms,
    "compute": lambda u: u.compute_ms - u.head_ms,
    "wait": lambda u: u.wait_ms - u.scatter_ms - u.gather_ms,
    "exchange": lambda u: u.transmit_ms,
    "gather": lambda u: u.gather_ms,
    "head": lambda u: u.head_ms,
}


def summarise(args: argparse.Namespace, measured, plan_message) -> dict:
    """The JSON object."""
    pairs = list(zip(measured.whole_s, measured.ceiling_s, measured.cooperative_s, strict=True))
    ratio = [w / c for w, _, c in pairs]
    efficiency = [e / c for _, e, c in pairs]
    workers = {}
    for name in sorted({u.name for r in measured.results for u in r.workers}):
        mine = [u for r in measured.results for u in r.workers if u.name == name]
        workers[name] = {
            "compute_ms": round(median(u.compute_ms for u in mine), 3),
            "wait_ms": round(median(u.wait_ms for u in mine), 3),
            "transmit_ms": round(median(u.transmit_ms for u in mine), 3),
            "split_ms": {part: round(median(of(u) for u in mine), 3) for part, of in _SPLIT.items()},
            "bytes_out": int(median(u.bytes_out for u in mine)),
            "macs": int(median(u.macs for u in mine)),
        }
    stream = measured.stream_frames / measured.stream_s if measured.stream_s > 0 else math.nan
    ceiling_rate = 1 / median(measured.ceiling_s)
    manager = percentiles([r.latency_ms / 1e3 for r in measured.results])
    plan = plan_from_message(plan_message)
    return {
        "model": args.model,
        "transport": args.transport,
        "input": args.input,
        "threads": args.threads,
        "frames": len(pairs),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "planner": plan_message.planner,
        "stages": len(plan_message.cuts) + 1,
        "whole_ms": percentiles(measured.whole_s),
        "ceiling_ms": percentiles(measured.ceiling_s),
        "cooperative_ms": percentiles(measured.cooperative_s),
        "manager_ms": manager,
        "ratio_p50": round(median(ratio), 4),
        "ratio_interval": interval(ratio),
        "efficiency_p50": round(median(efficiency), 4),
        "efficiency_interval": interval(efficiency),
        "throughput_hz": round(stream, 3),
        "throughput_ratio": round(stream / ceiling_rate, 4),
        "predicted_ms": round(plan_message.predicted_latency_s * 1e3, 3),
        "predicted_of_manager": round(plan_message.predicted_latency_s * 1e3 / manager["p50"], 4),
        "bytes_per_frame": int(median(r.bytes_moved for r in measured.results)),
        "messages_per_frame": message_count(args, plan),
        "codec": args.codec,
        "coded_links": coded_links(plan),
        "max_abs_diff": measured.max_abs_diff,
        "scale": measured.scale,
        "relative_error": measured.max_abs_diff / measured.scale,
        "tolerance": plan.tolerance,
        "workers": workers,
        "cpu_of_a_core": {n: round(s / measured.stream_s, 3) for n, s in measured.cpu_s.items()},
        "peak_mb": {n: round(b / 1e6) for n, b in measured.peak_bytes.items()},
        "resident_mb": {n: round(b / 1e6) for n, b in measured.resident_bytes.items()},
    }


def message_count(args: argparse.Namespace, plan: PartitionPlan) -> int:
    """Messages of a frame under a plan, chunks counted."""
    graph = load_partitioned(args.model, parse_size(args.input), args.weights).graph
    transfers = derive_schedule(graph, plan).transfers
    return sum(max(1, math.ceil(t.wire_bytes / CHUNK_BYTES)) for t in transfers)


def coded_links(plan: PartitionPlan) -> list[str]:
    """Links whose rows are coded, in words."""
    return [
        f"{plan.workers[i]} to {plan.workers[j]} {codec}"
        for i, row in enumerate(plan.codecs)
        for j, codec in enumerate(row)
        if codec
    ]


def print_report(summary: dict) -> None:
    """Tables for people."""
    console = Console(width=100)
    table = Table(title=f"{summary['model']} {summary['input']}, {len(summary['workers'])} workers x "
                  f"{summary['threads']} thread, {summary['stages']} stages, {summary['frames']} frames")  # fmt: skip
    for name in ("", "p50 ms", "p90 ms", "p99 ms"):
        table.add_column(name, justify="left" if not name else "right")
    over = {"dds": "cluster over DDS, image in to result out", "inprocess": "workers in turn in one process"}
    names = {"whole_ms": "whole model, bare torch", "ceiling_ms": "ceiling: shares at the same time, nothing exchanged",
             "cooperative_ms": over[summary["transport"]]}  # fmt: skip
    for key, text in names.items():
        table.add_row(text, *[f"{summary[key][p]:.1f}" for p in ("p50", "p90", "p99")])
    console.print(table)
    low, high = summary["ratio_interval"]
    console.print(f"whole / cluster {summary['ratio_p50']:.2f} (95 %: {low:.2f} to {high:.2f})", highlight=False)
    low, high = summary["efficiency_interval"]
    console.print(
        f"ceiling / cluster {summary['efficiency_p50']:.2f} (95 %: {low:.2f} to {high:.2f}); throughput "
        f"{summary['throughput_hz']:.1f} Hz; max |diff| {summary['max_abs_diff']:.1e} of {summary['scale']:.2f}",
        highlight=False,
    )
    text = (
        f"{summary['bytes_per_frame'] / 1e3:.0f} kB in {summary['messages_per_frame']} messages per frame; codecs: "
        f"{', '.join(summary['coded_links']) or 'raw'}"
    )
    if summary["transport"] == "dds":
        text = (
            f"predicted {summary['predicted_ms']:.1f} ms, measured by the manager {summary['manager_ms']['p50']:.1f} "
            f"ms ({summary['predicted_of_manager'] - 1:+.0%}); {text}"
        )
    console.print(text, highlight=False)
    shares = Table(title="per worker, medians")
    for name in ("worker", *(f"{part} ms" for part in _SPLIT), "sent kB"):
        shares.add_column(name, justify="left" if name == "worker" else "right")
    for name, w in summary["workers"].items():
        shares.add_row(name, *(f"{ms:.1f}" for ms in w["split_ms"].values()), f"{w['bytes_out'] / 1e3:.0f}")
    console.print(shares)
    cpu = ", ".join(
        f"{n} {part:.0%}, {summary['resident_mb'][n]} MB (peak {summary['peak_mb'][n]})"
        for n, part in summary["cpu_of_a_core"].items()
    )
    console.print(f"of a core with frames in flight, and memory: {cpu}", highlight=False)
