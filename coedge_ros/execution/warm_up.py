"""Run a program once on zeros before its plan is switched on: the first frame then pays for no kernel selection."""

from __future__ import annotations

import torch

from coedge_ros.execution.program import Values, WorkerProgram


@torch.inference_mode()
def warm_up(program: WorkerProgram) -> None:
    """Run all stages on zeros; nothing is sent."""
    transfers = program.schedule.transfers
    values: Values = {}
    for stage in program.stages:
        arrived = {
            i: torch.zeros(transfers[i].wire_shape, dtype=getattr(torch, transfers[i].dtype)) for i in stage.receives
        }
        stage.run(values, arrived)
        for item in stage.sends:
            item.wire(values)
        for name in stage.frees:
            values.pop(name, None)
