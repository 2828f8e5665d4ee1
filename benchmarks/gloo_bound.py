"""The same plan without DDS: worker programs that exchange tensors over gloo, in turn with the cluster over DDS.

Gloo (torch.distributed's CPU backend, TCP on loopback) knows beforehand what comes from whom and writes straight into
the tensor it is meant for: no messages, no discovery, no checks, no recovery. It is a bound for what the data plane may
cost, not a rival.

    python benchmarks/gloo_bound.py --model resnet18 --input 480x640 --json benchmarks/results/gloo.json
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from rich.console import Console
from rich.progress import track

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers, measured_cluster, own_domain
from coedge_ros.cli.bench_report import interval, percentiles
from coedge_ros.cli.planning_inputs import parse_size
from coedge_ros.execution.allocator import keep_freed_memory
from coedge_ros.execution.coordinator import assemble_outputs
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import PartitionedModel, partition_model
from coedge_ros.nodes.messages import plan_from_message
from coedge_ros.profiling.rivals import ModelChoice
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import MANAGER, Schedule, Transfer, TransferKind


def load(choice: ModelChoice) -> PartitionedModel:
    """The model in bands, as workers have it."""
    torch.set_num_threads(choice.threads)
    keep_freed_memory()
    loaded = load_model(choice.spec, weights=choice.weights)
    return partition_model(
        loaded.module, choice.height, choice.width, mean=loaded.mean, std=loaded.std, digest=loaded.digest
    )


def buffer_for(transfer: Transfer) -> torch.Tensor:
    """Where a transfer arrives."""
    return torch.empty(transfer.wire_shape, dtype=getattr(torch, transfer.dtype))


def travels(transfer: Transfer) -> bool:
    """Reports of what was done are left out: the bound has none."""
    return transfer.kind is not TransferKind.REPORT


def join(rank: int, size: int, port: int) -> None:
    """Join the group."""
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)


def serve(choice: ModelChoice, plan: PartitionPlan, worker: int, port: int) -> None:
    """Worker process: frame after frame, until the manager says that there is none."""
    model = load(choice)
    schedule = derive_schedule(model.graph, plan)
    program = WorkerProgram(model, schedule, worker)
    manager = len(plan.workers)
    join(worker, manager + 1, port)
    rank_of = {MANAGER: manager, **{i: i for i in range(manager)}}
    mine = [t for t in schedule.transfers if t.target == worker and travels(t)]
    go = torch.zeros(1)
    with torch.inference_mode():
        while True:
            dist.recv(go, src=manager, tag=0)
            if not go.item():
                break
            arrived = {t.index: buffer_for(t) for t in mine}
            waits = {t.index: dist.irecv(arrived[t.index], src=rank_of[t.source], tag=t.index + 1) for t in mine}
            values: dict[str, torch.Tensor] = {}
            sent: list[Any] = []
            for stage in program.stages:
                for index in stage.receives:
                    waits[index].wait()
                stage.run(values, arrived)
                for item in stage.sends:
                    wire = item.wire(values)
                    sent.append(
                        (dist.isend(wire, dst=rank_of[item.transfer.target], tag=item.transfer.index + 1), wire)
                    )
                for name in stage.frees:
                    values.pop(name, None)
            for work, _ in sent:
                work.wait()
    dist.destroy_process_group()


class GlooCluster:
    """Workers of a plan over gloo; this process is the manager. Use it as a context manager."""

    def __init__(self, choice: ModelChoice, plan: PartitionPlan, schedule: Schedule):
        self.plan, self.schedule = plan, schedule
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        context = multiprocessing.get_context("spawn")
        self._workers = [
            context.Process(target=serve, args=(choice, plan, i, port), daemon=True) for i in range(len(plan.workers))
        ]
        self._port = port

    def __enter__(self) -> GlooCluster:
        for worker in self._workers:
            worker.start()
        join(len(self._workers), len(self._workers) + 1, self._port)
        return self

    @torch.inference_mode()
    def run(self, frame: np.ndarray) -> tuple[dict[str, torch.Tensor], float]:
        """Outputs of a frame `(H, W, 3)` uint8, and seconds from its scatter to the outputs."""
        began = time.perf_counter()
        for rank in range(len(self._workers)):
            dist.send(torch.ones(1), dst=rank, tag=0)
        results = self.schedule.of_kind(TransferKind.RESULT)
        arrived = {t.index: buffer_for(t) for t in results}
        waits = [dist.irecv(arrived[t.index], src=t.source, tag=t.index + 1) for t in results]
        pixels = torch.from_numpy(frame).unsqueeze(1)
        sent = [
            dist.isend(pixels[t.rows.start : t.rows.stop].contiguous(), dst=t.target, tag=t.index + 1)
            for t in self.schedule.of_kind(TransferKind.SCATTER)
        ]
        for work in (*sent, *waits):
            work.wait()
        return assemble_outputs(self.schedule, arrived), time.perf_counter() - began

    def __exit__(self, *exception) -> None:
        for rank in range(len(self._workers)):
            dist.send(torch.zeros(1), dst=rank, tag=0)
        dist.destroy_process_group()
        for worker in self._workers:
            worker.join(5.0)
            if worker.is_alive():
                worker.terminate()


def main() -> int:
    """Compare; 0 when the cluster over DDS takes at most 1.10 times as long."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--input", default="480x640", metavar="HxW")
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--planner", default="fused")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    size = parse_size(args.input)
    own_domain()
    values = measured_cluster(equal_workers(2, 1), args.model, "", size)
    choice = ModelChoice(args.model, None, *size, 1)
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    gloo_s, dds_s = [], []
    with BenchCluster(values, args.model, "", size, {"planner": args.planner}) as cluster:
        plan = plan_from_message(cluster.plan)
        model = load(choice)
        with GlooCluster(choice, plan, derive_schedule(model.graph, plan)) as gloo:
            for i in track(range(args.frames + 3), "frames", console=Console(stderr=True)):
                outputs, seconds = gloo.run(frame)
                result, _ = cluster.answer(frame)
                if i >= 3:
                    gloo_s.append(seconds)
                    dds_s.append(result.latency_ms / 1e3)
    theirs = {t.name: np.frombuffer(t.data, t.dtype).reshape(tuple(t.shape)) for t in result.tensors}
    difference = max(float(np.abs(theirs[name] - outputs[name].numpy()).max()) for name in outputs)
    ratios = [d / g for d, g in zip(dds_s, gloo_s, strict=True)]
    summary = {
        "model": args.model, "input": args.input, "stages": plan.stages, "frames": len(ratios),
        "gloo_ms": percentiles(gloo_s), "dds_ms": percentiles(dds_s),
        "ratio_p50": round(float(np.median(ratios)), 4), "ratio_interval": interval(ratios), "max_abs_diff": difference,
    }  # fmt: skip
    print(json.dumps(summary))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(summary, indent=1) + "\n")
    return 0 if summary["ratio_interval"][0] <= 1.10 else 1


if __name__ == "__main__":
    raise SystemExit(main())
