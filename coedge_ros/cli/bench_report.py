"""Figures of a benchmark: medians, ratios of pairs, and bootstrap intervals of them."""

from __future__ import annotations

import argparse
import math
import platform
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table


def interval(ratios: list[float], rounds: int = 2000) -> list[float]:
    """Bootstrap 95 % interval of the median, with a fixed seed."""
    rng = np.random.default_rng(0)
    values = np.asarray(ratios)
    medians = np.median(rng.choice(values, (rounds, len(values))), axis=1)
    return [round(float(q), 4) for q in np.quantile(medians, (0.025, 0.975))]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50, p90 and p99 in milliseconds."""
    return {f"p{q}": round(float(np.percentile(seconds, q)) * 1e3, 3) for q in (50, 90, 99)}


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
            "bytes_out": int(median(u.bytes_out for u in mine)),
            "macs": int(median(u.macs for u in mine)),
        }
    stream = measured.stream_frames / measured.stream_s if measured.stream_s > 0 else math.nan
    ceiling_rate = 1 / median(measured.ceiling_s)
    return {
        "model": args.model,
        "input": args.input,
        "threads": args.threads,
        "frames": len(pairs),
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "planner": plan_message.planner,
        "stages": len(plan_message.cuts) + 1,
        "whole_ms": percentiles(measured.whole_s),
        "ceiling_ms": percentiles(measured.ceiling_s),
        "cooperative_ms": percentiles(measured.cooperative_s),
        "manager_ms": percentiles([r.latency_ms / 1e3 for r in measured.results]),
        "ratio_p50": round(median(ratio), 4),
        "ratio_interval": interval(ratio),
        "efficiency_p50": round(median(efficiency), 4),
        "efficiency_interval": interval(efficiency),
        "throughput_hz": round(stream, 3),
        "throughput_ratio": round(stream / ceiling_rate, 4),
        "predicted_ms": round(plan_message.predicted_latency_s * 1e3, 3),
        "bytes_per_frame": int(median(r.bytes_moved for r in measured.results)),
        "max_abs_diff": measured.max_abs_diff,
        "scale": measured.scale,
        "workers": workers,
        "cpu_of_a_core": {n: round(s / measured.stream_s, 3) for n, s in measured.cpu_s.items()},
        "resident_mb": {n: round(b / 1e6) for n, b in measured.resident_bytes.items()},
    }


def print_report(summary: dict) -> None:
    """Tables for people."""
    console = Console(width=100)
    table = Table(title=f"{summary['model']} {summary['input']}, {len(summary['workers'])} workers x "
                  f"{summary['threads']} thread, {summary['stages']} stages, {summary['frames']} frames")  # fmt: skip
    for name in ("", "p50 ms", "p90 ms", "p99 ms"):
        table.add_column(name, justify="left" if not name else "right")
    names = {"whole_ms": "whole model, bare torch", "ceiling_ms": "ceiling: shares at the same time, nothing exchanged",
             "cooperative_ms": "cluster over DDS, image in to result out"}  # fmt: skip
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
    shares = Table(title="per worker, medians")
    for name in ("worker", "compute ms", "wait ms", "transmit ms", "sent kB"):
        shares.add_column(name, justify="left" if name == "worker" else "right")
    for name, w in summary["workers"].items():
        shares.add_row(name, f"{w['compute_ms']:.1f}", f"{w['wait_ms']:.1f}", f"{w['transmit_ms']:.1f}",
                       f"{w['bytes_out'] / 1e3:.0f}")  # fmt: skip
    console.print(shares)
    cpu = ", ".join(
        f"{n} {part:.0%} and {summary['resident_mb'][n]} MB" for n, part in summary["cpu_of_a_core"].items()
    )
    console.print(f"with frames in flight, of a core: {cpu}", highlight=False)
