"""A first measure of how fast this host runs a model."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import torch

from coedge_ros.execution.device import wait_for_device
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.profiling.cache import Key, hardware


def measure_speed(
    model: PartitionedModel,
    repeats: int = 12,
    budget_s: float = 2.0,
    clock: Callable[[], float] = time.perf_counter,
    on_run: Callable[[int, int], None] = lambda done, of: None,
) -> float:
    """Multiply-accumulates per second over the whole model, one frame at a time, with torch's threads as they are.

    The fastest of up to `repeats` runs after one warm-up, because what disturbs a run only ever adds; stops early when
    `budget_s` is spent, but measures at least once. `on_run(done, of)` is told of each.
    """
    frame = torch.zeros(model.graph.input.shape, dtype=torch.uint8)
    frame = frame.contiguous(memory_format=torch.channels_last).to(model.device)
    began = clock()
    model.nodes.run(frame, keep=set())
    wait_for_device(model.device)
    times = []
    while not times or (len(times) < repeats and clock() - began < budget_s):
        start = clock()
        model.nodes.run(frame, keep=set())
        wait_for_device(model.device)
        times.append(clock() - start)
        on_run(len(times), repeats)
    return model.graph.total_macs / min(times)


def kept_speed(
    model: PartitionedModel, threads: int, budget_s: float, use_cache: bool, on_run: Callable[[int, int], None]
) -> tuple[float, bool]:
    """Speed of `measure_speed`, and whether it was kept from an earlier start on this hardware.

    What is kept was measured beside whatever else ran then: as a rule the other workers of the host, which start at the
    same time. A worker that is restarted later among idle ones would find itself faster than it is in use.
    """
    height, width = model.graph.input.shape[2:]
    key = Key("speed", model.graph.digest, height, width, str(model.device), torch.__version__, (threads,), hardware())
    kept = key.read() if use_cache else None
    if isinstance(kept, (int, float)) and math.isfinite(kept) and kept > 0:
        return float(kept), True
    speed = measure_speed(model, budget_s=budget_s, on_run=on_run)
    if use_cache:
        key.keep(speed)
    return speed, False
