"""Maps stay channels-last through halo exchanges: the other layout makes a pooling several times slower."""

import torch
from torch import nn

from coedge_ros.execution.program import WorkerProgram
from coedge_ros.graph.lower import partition_model
from coedge_ros.profiling.stage_times import default_cuts, plan_with_fraction
from coedge_ros.spec.derivation import derive_schedule


def check_maps(values):
    maps = [value for value in values.values() if value.dim() == 4]
    assert maps and all(value.is_contiguous(memory_format=torch.channels_last) for value in maps)


def test_rows_of_neighbours_leave_a_map_channels_last():
    layers = nn.Sequential(nn.Conv2d(3, 8, 5, padding=2), nn.Conv2d(8, 8, 7, padding=3), nn.MaxPool2d(3, 1, 1))
    model = partition_model(layers.eval(), 24, 20)
    schedule = derive_schedule(model.graph, plan_with_fraction(model, default_cuts(model), 0.5))
    program, values, several = WorkerProgram(model, schedule, 0), {}, 0
    with torch.inference_mode():
        for stage in program.stages[: schedule.plan.stages]:
            transfers = [schedule.transfers[i] for i in stage.receives]
            arrived = {t.index: torch.zeros(t.wire_shape, dtype=getattr(torch, t.dtype)) for t in transfers}
            several += sum(t.tensor != model.graph.input.name and len(t.rows) > 1 for t in transfers)
            stage.assemble(values, arrived)
            check_maps(values)
            stage.compute(values)
            check_maps(values)
    assert several, "no stage received several rows at once"
