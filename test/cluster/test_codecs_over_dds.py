"""Rows in 8 bits between processes: fewer bytes, an answer within the bound."""

import cv2
import pytest
import torch

from coedge_ros.cli.verify_dds import answer_over_dds
from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.example_data import photo
from coedge_ros.graph.loading import load_model
from coedge_ros.nodes.image_codec import resize_to
from coedge_ros.spec.codec import TOLERANCES, Codec
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule

torch.set_num_threads(1)


@pytest.mark.timeout(180)
def test_the_cat_is_a_cat_over_dds_with_rows_in_8_bits(tmp_path):
    loaded = load_model("mobilenet_v2", weights="imagenet")
    oracle = Oracle(loaded.module, *loaded.input_size, loaded.mean, loaded.std)
    graph = oracle.model.graph
    frame = resize_to(cv2.cvtColor(cv2.imread(str(photo("chelsea.png"))), cv2.COLOR_BGR2RGB), *oracle.size)
    answer = answer_over_dds(
        tmp_path, "mobilenet_v2", "", "imagenet", oracle.size, [112, 112], layer_cuts(graph), frame, "int8"
    )
    plan = answer.plan
    assert plan.codec(0, 1) is plan.codec(1, 0) is Codec.INT8 and plan.tolerance == TOLERANCES[Codec.INT8]
    schedule = derive_schedule(graph, plan)
    for index, usage in enumerate(answer.usage):
        assert usage.bytes_in == sum(t.wire_bytes for t in schedule.transfers if t.target == index)
    assert any(t.codec for t in schedule.transfers)
    (compared,) = oracle.compare_outputs(answer.outputs, frame, plan.tolerance)
    assert compared.is_equal and compared.max_abs_diff > 1e-5 * compared.scale, str(compared)
    (found,), (scores,) = answer.outputs.values(), oracle.outputs(frame).values()
    assert found.argmax() == scores.argmax() == loaded.labels.index("Egyptian cat")
