"""Computing on a device: refused with advice where there is none; nothing of a stage stays behind on the CPU."""

from functools import cache

import numpy as np
import pytest
import torch

from coedge_ros.errors import UserError
from coedge_ros.execution.device import DeviceStage, device_of
from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.execution.program import WorkerProgram
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.lower import PartitionedModel, partition_model
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

torch.set_num_threads(1)
NAMES = ("a", "b", "c")
CPU = torch.device("cpu")
MODELS = ("mobilenet_v2", "shufflenet_v2_x1_0", "architectures.style_transfer:style_transfer")
SIZE = (97, 131)


@cache
def module(name: str):
    return load_model(name).module


def model(name: str, device: torch.device = CPU) -> PartitionedModel:
    return partition_model(module(name), *SIZE, digest="d" * 64, device=device)


def plan_of(banded: PartitionedModel) -> PartitionPlan:
    return plan_from_shares(banded.graph, NAMES, [3.0, 2.0, 1.0], layer_cuts(banded.graph))


def answer(cluster: InProcessCluster) -> dict[str, torch.Tensor]:
    frame = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
    return cluster.run(frame).outputs


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "", "meta"])
def test_what_is_no_device_is_refused_with_what_to_write(name):
    with pytest.raises(UserError, match="write cpu, cuda or cuda:0"):
        device_of(name)


def test_cuda_without_cuda_is_refused_with_the_reason(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", None)
    with pytest.raises(UserError, match="was built without CUDA"):
        device_of("cuda:0")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(UserError, match="sees no GPU; or use cpu"):
        device_of("cuda")


def test_an_index_that_is_not_there_is_refused_with_the_number_that_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(UserError, match="'cuda:2', and this host has 2 CUDA devices, numbered from 0"):
        device_of("cuda:2")
    assert device_of("cuda") == torch.device("cuda", 0) and device_of("cpu") == CPU


def test_the_way_over_a_device_changes_nothing():
    banded = model(MODELS[-1])
    plain, over = (InProcessCluster(banded, plan_of(banded)) for _ in range(2))
    for program in over.programs:
        program.stages = tuple(DeviceStage(stage, CPU) for stage in program.stages)
    for (name, one), other in zip(answer(plain).items(), answer(over).values(), strict=True):
        assert torch.equal(one, other), name
    assert not any(worker.runs for worker in over.workers)


@pytest.mark.parametrize("name", MODELS)
def test_all_of_a_stage_is_on_the_device(name):
    """`meta` stands for a device: it has shapes and no values, and most kernels refuse operands of the CPU."""
    meta = torch.device("meta")
    banded = model(name, meta)
    constants = [a for node in banded.nodes.nodes for a in (*node.args, *node.kwargs.values())]
    assert {a.device for a in constants if isinstance(a, torch.Tensor)} == {meta}
    schedule = derive_schedule(banded.graph, plan_of(banded))
    transfers = schedule.transfers
    for worker in range(len(NAMES)):
        program = WorkerProgram(banded, schedule, worker)
        values: dict[str, torch.Tensor] = {}
        for stage in program.stages:
            arrived = {
                i: torch.zeros(transfers[i].wire_shape, dtype=getattr(torch, transfers[i].dtype))
                for i in stage.receives
            }
            stage.run(values, arrived)
            assert {v.device for v in values.values()} <= {meta}
            for item in stage.sends:
                assert tuple(item.wire(values).shape) == item.transfer.wire_shape
            for freed in stage.frees:
                values.pop(freed, None)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", MODELS)
def test_a_cuda_worker_beside_cpu_workers_answers_what_the_cpu_answers(name):
    banded, on_gpu = model(name), model(name, device_of("cuda"))
    expected = answer(InProcessCluster(banded, plan_of(banded)))
    found = answer(InProcessCluster([banded, on_gpu, banded], plan_of(banded)))
    for key, one in expected.items():
        assert found[key].device == CPU
        assert (found[key] - one).abs().max() <= 1e-4 * one.abs().max()
