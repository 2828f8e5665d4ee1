"""`coedge bench --fragments`: what fragments alone cost, by size and transport."""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from coedge_ros.execution.fragment import FrameKey, Outgoing
from coedge_ros.execution.in_process import InProcessHub
from coedge_ros.nodes.link_probe import WINDOW, probe_within_host
from coedge_ros.spec.schedule import Transfer, TransferKind

SIZES = (1024, 65536, 262144, 1048576, 4194304)


def measure_fragments(repeats: int) -> dict:
    """One-way latency and throughput per size, over DDS between two processes and in this process."""
    figures = probe_within_host(max(20, repeats), sizes=SIZES, with_meetings=False, with_streams=True)
    back_s = median(figures.round_trip_s[SIZES[0]]) / 2  # of the small answer
    rows = []
    for size in SIZES:
        one_way_s = [trip - back_s for trip in figures.round_trip_s[size]]
        rows.append(_row("dds", size, one_way_s, figures.stream_bytes_per_s[size]))
        seconds = _in_process(size, max(20, repeats))
        rows.append(_row("inprocess", size, seconds, size / median(seconds)))
    return {"fragments": rows, "lost": figures.lost, "repeats": max(20, repeats)}


def _row(transport: str, size: int, seconds: list[float], bytes_per_s: float) -> dict:
    return {
        "transport": transport,
        "size_bytes": size,
        "one_way_ms": {f"p{q}": round(float(np.percentile(seconds, q)) * 1e3, 4) for q in (50, 90, 99)},
        "throughput_mb_s": round(bytes_per_s / 1e6, 1),
    }


def _in_process(size: int, repeats: int) -> list[float]:
    """Seconds from sending to having taken a transfer through the channel within a process."""
    hub = InProcessHub()
    sender, receiver = hub.channel("near"), hub.channel("far")
    transfer = Transfer(0, TransferKind.HALO, "x", 0, 1, None, 0, 1, (size,), "uint8", size)
    wire = torch.zeros(size, dtype=torch.uint8)
    seconds = []
    for number in range(repeats):
        began = time.perf_counter()
        sender.send("far", Outgoing(FrameKey(1, 1, number), transfer, "near", "", wire))
        receiver.receive(0.0)
        seconds.append(time.perf_counter() - began)
    return seconds


def print_fragments(summary: dict) -> None:
    """A table for people."""
    table = Table(title=f"fragments alone: ms one way, MB/s with {WINDOW} under way; in a process nothing is copied")
    for name in ("transport", "bytes", "p50", "p90", "p99", "MB/s"):
        table.add_column(name, justify="left" if name == "transport" else "right")
    for row in sorted(summary["fragments"], key=lambda r: r["transport"]):
        times = (f"{row['one_way_ms'][p]:.3f}" for p in ("p50", "p90", "p99"))
        table.add_row(row["transport"], str(row["size_bytes"]), *times, f"{row['throughput_mb_s']:.0f}")
    Console(width=100).print(table)
