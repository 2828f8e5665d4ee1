"""Plans, usage and tensors survive the way through their messages; what makes no plan is refused."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from rclpy.serialization import deserialize_message, serialize_message
from torch import nn

from coedge_ros.execution.coordinator import Usage
from coedge_ros.graph.lower import partition_model
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.nodes import messages
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

torch.set_num_threads(1)


@cache
def graph():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1)).eval()
    return partition_model(net, 30, 20, digest="d" * 64).graph


def plan() -> PartitionPlan:
    return plan_from_shares(graph(), ("a", "b", "c"), [3, 2, 1], layer_cuts(graph()))


def message(**changes) -> PlanMessage:
    made = messages.plan_to_message(plan(), 2**63 + 1, 7, frame_timeout_s=2.0)
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def test_a_plan_is_the_same_after_its_way_through_the_wire():
    sent = message(explanation="why")
    taken = deserialize_message(serialize_message(sent), PlanMessage)
    assert messages.plan_from_message(taken) == plan()
    assert (taken.session, taken.epoch, taken.explanation) == (2**63 + 1, 7, "why")
    assert math.isnan(taken.predicted_latency_s)


def test_codecs_of_links_travel_with_the_plan():
    codecs = ((Codec.RAW, Codec.INT8, Codec.RAW), (Codec.FLOAT16, Codec.RAW, Codec.RAW), (Codec.RAW,) * 3)
    sent = messages.plan_to_message(replace(plan(), codecs=codecs), 1, 1, frame_timeout_s=2.0)
    taken = deserialize_message(serialize_message(sent), PlanMessage)
    assert messages.plan_from_message(taken) == replace(plan(), codecs=codecs)


BAD = {
    "a codec that is none": {"codecs": [3] * 9},
    "codecs of some links only": {"codecs": [1] * 8},
    "no workers": {"workers": []},
    "a worker twice": {"workers": ["a", "b", "b"]},
    "a name that is no topic": {"workers": ["a", "b", "c\n"]},
    "the manager as a worker": {"workers": ["a", "b", "manager"]},
    "a head that is nobody": {"head": "d"},
    "no rows": {"boundaries": []},
    "half of the rows": {"boundaries": [0, 1]},
    "descending rows": {"boundaries": [30, 25, 15, 0] * 2},
    "descending cuts": {"cuts": [5, 1]},
    "no time": {"frame_timeout_s": 0.0},
    "endless time": {"frame_timeout_s": math.inf},
    "a time that is no number": {"frame_timeout_s": math.nan},
}


@pytest.mark.parametrize("changes", BAD.values(), ids=BAD)
def test_what_makes_no_plan_is_refused(changes):
    with pytest.raises(ValueError):  # noqa: PT011  whatever is wrong, it is one kind of error
        messages.plan_from_message(message(**changes))


def test_the_participant_with_the_most_messages_is_named():
    schedule = derive_schedule(graph(), plan())
    one_each = messages.most_messages(schedule, chunk_bytes=10**6)
    received = dict.fromkeys(("a", "b", "c", "manager"), 0)
    for transfer in schedule.transfers:
        received[("a", "b", "c", "manager")[transfer.target]] += 1
    assert one_each == max(received.items(), key=lambda pair: pair[1])
    name, count = messages.most_messages(schedule, chunk_bytes=100)
    target = ("a", "b", "c", "manager").index(name)
    wanted = target if target < 3 else -1
    assert count == sum(math.ceil(t.wire_bytes / 100) for t in schedule.transfers if t.target == wanted)
    assert count > one_each[1]


def test_a_workers_own_count_becomes_a_message():
    usage = Usage("a", 10**12, 0.005, 0.001, 0.002, 300, 400, ((0, 15), (0, 14)), 0.0003, 0.0004, 0.002)
    made = messages.usage_to_message(usage, 0.5)
    assert (made.name, made.macs, made.bytes_in, made.bytes_out) == ("a", 10**12, 300, 400)
    assert list(made.row_start) == [0, 0] and list(made.row_stop) == [15, 14]
    assert [made.compute_ms, made.wait_ms, made.transmit_ms] == pytest.approx([5.0, 1.0, 2.0])
    assert [made.scatter_ms, made.gather_ms, made.head_ms] == pytest.approx([0.3, 0.4, 2.0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int64, torch.uint8])
def test_a_tensor_keeps_shape_type_and_bytes(dtype):
    tensor = (torch.arange(24).reshape(1, 2, 3, 4) - 5).to(dtype).permute(0, 3, 1, 2)  # not contiguous
    made = messages.tensor_to_message("output", tensor)
    values = np.frombuffer(made.data, dtype=made.dtype).reshape(tuple(made.shape))
    assert made.name == "output" and (values == tensor.numpy()).all()
