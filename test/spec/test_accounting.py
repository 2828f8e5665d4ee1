"""The accounts are what a worker's program really does and holds."""

import pytest
import torch
from support.architectures import architecture_oracle, plan_of

from coedge_ros.execution.in_process import InProcessCluster
from coedge_ros.spec.accounting import account

torch.set_num_threads(1)


class _Measured:
    """A stage that measures what is alive before and after each of its kernels."""

    def __init__(self, stage, peaks):
        self.stage, self.peaks = stage, peaks

    def __getattr__(self, name):
        return getattr(self.stage, name)

    def run(self, values, arrived):
        received = [arrived[i] for i in self.stage.receives]
        storages = {t.untyped_storage().data_ptr() for t in received}

        def alive(*more: torch.Tensor) -> int:
            made = [t for t in (*values.values(), *more) if t.untyped_storage().data_ptr() not in storages]
            return sum(t.nbytes for t in (*made, *received))

        peak, macs = alive(), 0
        for assembly in self.stage.assemblies:
            joined = assembly.run(values, arrived)
            peak = max(peak, alive(joined))  # before the band that it replaces is given up
            values[assembly.tensor] = joined
        for combine in self.stage.combines:
            values[combine.operator] = combine.run(values, arrived)
        for step in self.stage.steps:
            values[step.output] = step.kernel(*[values[name] for name in step.operands])
            macs += step.macs
            peak = max(peak, alive())
            for name in step.frees:
                del values[name]
        self.peaks.append(peak)
        return macs


@pytest.mark.parametrize("cuts", ["layers", "forced"])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "efficientnet_b0", "unet", "two_heads", "vgg_f"])
def test_work_bytes_and_activations_are_those_of_the_program(name, cuts):
    oracle = architecture_oracle(name, 97, 131)
    plan = plan_of(oracle, [0.5, 0.3, 0.2], cuts)
    cluster = InProcessCluster(oracle.model, plan)
    measured = [[] for _ in plan.workers]
    for program, peaks in zip(cluster.programs, measured, strict=True):
        program.stages = tuple(_Measured(stage, peaks) for stage in program.stages)
    usage = {u.worker: u for u in cluster.run(oracle.frames()[0]).usage}
    for worker, stages, peaks in zip(plan.workers, account(cluster.schedule), measured, strict=True):
        assert usage[worker].macs == sum(stage.macs for stage in stages)
        assert usage[worker].bytes_in == sum(stage.bytes_in for stage in stages)
        assert usage[worker].bytes_out == sum(stage.bytes_out for stage in stages)
        for stage, peak in zip(stages, peaks, strict=True):
            assert stage.peak_activation_bytes == peak
