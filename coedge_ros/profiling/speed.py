"""A first measure of how fast this host runs a model."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from coedge_ros.graph.lower import PartitionedModel


def measure_speed(
    model: PartitionedModel, repeats: int = 12, budget_s: float = 2.0, clock: Callable[[], float] = time.perf_counter
) -> float:
    """Multiply-accumulates per second over the whole model, one frame at a time, with torch's threads as they are.

    The fastest of up to `repeats` runs after one warm-up, because what disturbs a run only ever adds; stops early when
    `budget_s` is spent, but measures at least once.
    """
    frame = torch.zeros(model.graph.input.shape, dtype=torch.uint8)
    frame = frame.contiguous(memory_format=torch.channels_last)
    began = clock()
    model.nodes.run(frame, keep=set())
    times = []
    while not times or (len(times) < repeats and clock() - began < budget_s):
        start = clock()
        model.nodes.run(frame, keep=set())
        times.append(clock() - start)
    return model.graph.total_macs / min(times)
