"""Six architectures over real processes and DDS: exact, and each worker does what the schedule of its program says."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from support.architectures import architecture_oracle

from coedge_ros.cli.verify_dds import answer_over_dds
from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.zoo.registry import zoo_names
from coedge_ros.rows.split import split_by_shares
from coedge_ros.spec.accounting import account
from coedge_ros.spec.cuts import forced_cuts, layer_cuts
from coedge_ros.spec.derivation import derive_schedule

pytestmark = pytest.mark.timeout(180)
SIZE = (97, 131)


def _saved(folder: Path, name: str, oracle: Oracle) -> tuple[str, str]:
    """Model and weights as the nodes' parameters take them: a name of the zoo and a file, else an archive."""
    if name in zoo_names():
        torch.save(oracle.module.state_dict(), folder / "weights.pt")
        return name, str(folder / "weights.pt")
    torch.export.save(torch.export.export(oracle.module, (torch.zeros(1, 3, *SIZE),)), folder / "net.pt2")
    return str(folder / "net.pt2"), ""


@pytest.mark.parametrize(
    ("name", "cuts"),
    [
        pytest.param("efficientnet_b0", forced_cuts, id="squeeze_and_excitation"),
        pytest.param("squeezenet1_1", layer_cuts, id="concatenation"),
        pytest.param("fpn_resnet18", layer_cuts, id="several_outputs_by_name"),
        pytest.param("yolo_pan", layer_cuts, id="neck_over_several_scales"),
        pytest.param("shufflenet_v2_x1_0", forced_cuts, id="channel_shuffle"),
        pytest.param("two_heads", layer_cuts, id="archive_with_a_dense_and_a_pooled_answer"),
    ],
)
def test_the_answer_over_dds_is_the_whole_models(name, cuts, tmp_path):

    oracle = architecture_oracle(name, *SIZE)
    model, weights = _saved(tmp_path, name, oracle)
    rows = [b - a for a, b in pairwise(split_by_shares(SIZE[0], [0.6, 0.4]))]
    (frame,) = oracle.frames()
    graph = oracle.model.graph
    answer = answer_over_dds(tmp_path, model, "", weights, SIZE, rows, cuts(graph), frame)
    compared = oracle.compare_outputs(answer.outputs, frame)
    assert len(compared) == len(graph.outputs)
    assert all(c.is_equal for c in compared), "; ".join(map(str, compared))
    # Counted by the processes, against the accounts of the same schedule in this process.
    schedule = derive_schedule(graph, answer.plan)
    assert answer.plan.cuts == cuts(graph)
    usage = {u.worker: u for u in answer.usage}
    for worker, stages in zip(answer.plan.workers, account(schedule), strict=True):
        counted = usage[worker]
        assert counted.macs == sum(s.macs for s in stages) > 0
        assert counted.bytes_in == sum(s.bytes_in for s in stages)
        assert counted.bytes_out == sum(s.bytes_out for s in stages)
