"""From outputs to the `InferenceResult` message, with its provenance."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import torch

from coedge_ros.execution.comparison import Comparison
from coedge_ros.execution.coordinator import Answer, Usage
from coedge_ros.graph.loading import LoadedModel
from coedge_ros.msg import ClassScore, Detection, InferenceResult
from coedge_ros.nodes import messages
from coedge_ros.nodes.frames import Frame
from coedge_ros.nodes.task_heads import TaskHeads
from coedge_ros.spec.cluster import ClusterSpec, Power
from coedge_ros.spec.schedule import MANAGER_NAME


class ResultMaker:
    """Makes the message of each answer.

    Parameters
    ----------
    loaded : LoadedModel
        For its labels and its decoder.
    cluster : ClusterSpec
        For the workers' powers.
    values : dict
        Parameters of the manager, followed as they change.
    session : int
        Of the manager.
    say : callable
        Takes an error for people, as often as it happens.

    Raises
    ------
    UserError
        If the parameter `task` asks for what the model cannot give.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        cluster: ClusterSpec,
        values: dict[str, Any],
        session: int,
        say: Callable[[str], None] = lambda text: None,
    ):
        self.loaded, self.cluster, self.values, self.session = loaded, cluster, values, session
        self.model = loaded.spec
        self.heads = TaskHeads(loaded, values, say)

    def __call__(
        self,
        frame: Frame,
        outputs: dict[str, torch.Tensor],
        answer: Answer | None,
        now_s: float,
        fallback_reason: str = "",
        checked: Comparison | None = None,
    ) -> InferenceResult:
        """Result of a frame at `now_s`; `answer` is None when the manager has answered alone, for the reason given."""
        result = InferenceResult(header=frame.header, model=self.model, session=self.session, frame=frame.number)
        result.classes = [ClassScore(id=i, label=label, probability=p) for i, label, p in self.heads.classes(outputs)]
        found = self.heads.detections(outputs, frame.pixels.shape[:2], frame.source_size)
        result.detections = [Detection(**asdict(one)) for one in found]
        if self.values["publish_tensors"]:
            result.tensors = [messages.tensor_to_message(name, t) for name, t in outputs.items()]
        result.attempts = min(frame.attempts, 2**16 - 1)
        result.predicted_ms = result.max_abs_diff = result.scale = math.nan
        if answer is None:
            result.fallback, result.head, result.usage_complete = True, MANAGER_NAME, True
            result.fallback_reason = fallback_reason
        else:
            self._add_provenance(result, frame, answer)
        result.latency_ms = (now_s - frame.received_s) * 1e3
        if checked is not None:
            result.max_abs_diff, result.scale = checked.max_abs_diff, checked.scale
        return result

    def _add_provenance(self, result: InferenceResult, frame: Frame, answer: Answer) -> None:
        plan = frame.plan.message
        result.epoch, result.head = frame.plan.epoch, plan.head
        result.predicted_ms, result.deadline_ms = plan.predicted_latency_s * 1e3, plan.deadline_s * 1e3
        result.workers = [messages.usage_to_message(u, self._energy_j(u)) for u in answer.usage]
        result.usage_complete = answer.usage_complete
        result.energy_j = float(sum(w.energy_j for w in result.workers))
        result.bytes_moved = answer.scatter_bytes + sum(u.bytes_out for u in answer.usage)

    def _energy_j(self, usage: Usage) -> float:
        """Modelled: what computing and sending draw, times how long the worker says they took."""
        power = self.cluster.worker(usage.worker).power if usage.worker in self.cluster.worker_names else Power()
        return usage.compute_s * power.compute_w + usage.transmit_s * power.transmit_w
