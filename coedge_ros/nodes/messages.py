"""Between ROS messages and the core's values."""

from __future__ import annotations

import array
import math
from collections import Counter

import torch

from coedge_ros.execution.codec import to_bytes
from coedge_ros.execution.coordinator import Usage
from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.msg import PartitionPlan as PlanMessage
from coedge_ros.msg import Tensor, WorkerUsage
from coedge_ros.nodes.topics import check_worker_name
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import Schedule

MOST_TIMEOUT_S = 3600.0


def plan_to_message(plan: PartitionPlan, session: int, epoch: int, **more) -> PlanMessage:
    """A plan as a message; `more` are further fields of the message."""
    message = PlanMessage()
    message.protocol_version, message.action = PROTOCOL_VERSION, PlanMessage.PREPARE
    message.session, message.epoch = session, epoch
    message.model_digest, message.height, message.width = plan.model_digest, plan.height, plan.width
    message.workers, message.head = list(plan.workers), plan.head
    message.cuts = list(plan.cuts)
    message.boundaries = [b for row in plan.boundaries for b in row]
    message.codecs = [int(codec) for row in plan.codecs for codec in row]
    message.predicted_latency_s = message.predicted_energy_j = math.nan
    for name, value in more.items():
        setattr(message, name, value)
    return message


def plan_from_message(message: PlanMessage) -> PartitionPlan:
    """The plan of a message.

    Raises
    ------
    ValueError
        When its numbers make no plan or name no codec, its names cannot be workers' names, or its time limit is none.
    """
    for name in message.workers:
        check_worker_name(name)
    if not 0 < message.frame_timeout_s <= MOST_TIMEOUT_S:
        raise ValueError(f"frame_timeout_s must be more than 0 and at most {MOST_TIMEOUT_S}: {message.frame_timeout_s}")
    count = len(message.workers)
    return PartitionPlan(
        model_digest=message.model_digest,
        height=message.height,
        width=message.width,
        workers=tuple(message.workers),
        head=message.head,
        cuts=tuple(message.cuts),
        boundaries=_rows(list(message.boundaries), count + 1),
        codecs=_rows([Codec(codec) for codec in message.codecs], count),
    )


def _rows(flat: list, length: int) -> tuple[tuple, ...]:
    return tuple(tuple(flat[i : i + length]) for i in range(0, len(flat), length))


def most_messages(schedule: Schedule, chunk_bytes: int) -> tuple[str, int]:
    """The participant that gets the most messages for one frame, and how many."""
    counts: Counter[int] = Counter()
    for transfer in schedule.transfers:
        counts[transfer.target] += max(1, -(-transfer.wire_bytes // chunk_bytes))
    target, count = counts.most_common(1)[0]
    return schedule.name_of(target), count


def usage_to_message(usage: Usage, energy_j: float) -> WorkerUsage:
    """A worker's own count for one frame."""
    return WorkerUsage(
        name=usage.worker,
        row_start=[a for a, _ in usage.rows],
        row_stop=[b for _, b in usage.rows],
        macs=usage.macs,
        compute_ms=usage.compute_s * 1e3,
        wait_ms=usage.wait_s * 1e3,
        transmit_ms=usage.transmit_s * 1e3,
        scatter_ms=usage.scatter_s * 1e3,
        gather_ms=usage.gather_s * 1e3,
        head_ms=usage.head_s * 1e3,
        bytes_in=usage.bytes_in,
        bytes_out=usage.bytes_out,
        energy_j=energy_j,
    )


def tensor_to_message(name: str, tensor: torch.Tensor) -> Tensor:
    """A tensor as the model gave it."""
    message = Tensor(name=name, dtype=str(tensor.dtype).removeprefix("torch."), shape=list(tensor.shape))
    data = array.array("B")
    data.frombytes(memoryview(to_bytes(tensor.contiguous())))
    message.data = data
    return message
