"""The second channel: the same protocol within one process, for verification, tests and embedding."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
import torch

from coedge_ros.execution.band_worker import BandWorker
from coedge_ros.execution.codec import encode
from coedge_ros.execution.coordinator import Answer, FrameCoordinator
from coedge_ros.execution.fragment import Fragment, FrameKey, Outgoing, Request
from coedge_ros.execution.program import StageProgram, Values, WorkerProgram
from coedge_ros.execution.sent_log import Sent, SentLog
from coedge_ros.graph.lower import PartitionedModel
from coedge_ros.rows.row_set import RowSet
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.schedule import MANAGER_NAME

Tamper = Callable[[str, Fragment], Fragment | None]
OnTensor = Callable[[int, int, str, "RowSet | None", torch.Tensor], None]


class InProcessHub:
    """Queues of fragments by receiver; `tamper(receiver, fragment)` may change or drop them (mutation tests).

    With `resend_bytes` each participant keeps so much of what it sent, to send it again when it is asked to.
    """

    def __init__(self, tamper: Tamper | None = None, resend_bytes: int = 0):
        self.queues: dict[str, deque[Fragment]] = {}
        self.requests: dict[str, deque[Request]] = {}
        self.tamper, self.resend_bytes = tamper, resend_bytes

    def channel(self, name: str) -> InProcessChannel:
        """The channel of one participant."""
        self.queues[name], self.requests[name] = deque(), deque()
        return InProcessChannel(self, name)


class InProcessChannel:
    """A participant's end of the hub."""

    def __init__(self, hub: InProcessHub, name: str):
        self.hub, self.name = hub, name
        self._sent = SentLog(hub.resend_bytes)

    def send(self, receiver: str, item: Outgoing) -> int:
        """Put a transfer into the receiver's queue as one fragment."""
        t = item.transfer
        start, stop = (t.rows.start, t.rows.stop) if t.rows else (0, 0)
        coded = encode(item.wire, t.codec)
        fragment = Fragment(
            item.key.session, item.key.epoch, item.key.frame, t.index, item.source, item.model_digest,
            start, stop, t.wire_shape, t.dtype, coded.data, codec=coded.codec, scale=coded.scale,
        )  # fmt: skip
        self._sent.keep(item.key, t.index, Sent(receiver, fragment, coded.size_bytes, 0.0))
        self._put(receiver, fragment)
        return coded.size_bytes

    def _put(self, receiver: str, fragment: Fragment) -> None:
        if self.hub.tamper:
            fragment = self.hub.tamper(receiver, fragment)
        if fragment is not None:
            self.hub.queues[receiver].append(fragment)

    def receive(self, timeout_s: float) -> Fragment | None:
        """Next fragment; never waits, because nobody could send one meanwhile."""
        queue = self.hub.queues[self.name]
        return queue.popleft() if queue else None

    def ask(self, source: str, request: Request) -> None:
        """Put a request where its sender finds it."""
        self.hub.requests[source].append(request)

    def serve_requests(self) -> list[Request]:
        """Send again what is asked for and still known."""
        requests, unserved = self.hub.requests[self.name], []
        while requests:
            request = requests.popleft()
            sent = self._sent.find(request.key, request.transfer)
            if sent is not None and sent.receiver == request.requester:
                self._put(sent.receiver, sent.payload)
            else:
                unserved.append(request)
        return unserved


class _Observed:
    """A stage that tells what it made."""

    def __init__(self, stage: StageProgram, worker: int, tell: OnTensor):
        self.stage, self.worker, self.tell = stage, worker, tell

    def __getattr__(self, name: str):
        return getattr(self.stage, name)

    def run(self, values: Values, arrived: dict[int, torch.Tensor]) -> int:
        self.stage.assemble(values, arrived)
        for combine in self.stage.combines:
            self.tell(self.worker, self.stage.index, combine.operator, None, values[combine.operator])
        macs = self.stage.compute(values)
        for name, rows in self.stage.made:
            self.tell(self.worker, self.stage.index, name, rows, values[name])
        return macs


class InProcessCluster:
    """All workers of a plan and the manager's side, run in turn by the calling thread.

    Parameters
    ----------
    models : PartitionedModel or list of PartitionedModel
        The model of each worker; one for all usually.
    plan : PartitionPlan
        What to run.
    tamper : callable, optional
        `tamper(receiver, fragment)` may change or drop fragments.
    on_tensor : callable, optional
        `on_tensor(worker index, stage, name, rows, tensor)`: told of every tensor that outlives the stage that made it,
        and of every combined result; `rows` is None for a tensor that is whole.
    """

    def __init__(
        self,
        models: PartitionedModel | list[PartitionedModel],
        plan: PartitionPlan,
        tamper: Tamper | None = None,
        on_tensor: OnTensor | None = None,
    ):
        self.models = models if isinstance(models, list) else [models] * len(plan.workers)
        self.plan = plan
        self.schedule = derive_schedule(self.models[0].graph, plan)
        hub = InProcessHub(tamper)
        self.coordinator = FrameCoordinator(hub.channel(MANAGER_NAME), report_grace_s=0.0)
        self.coordinator.inbox.prepare(1, 1, self.schedule)
        self.workers = [BandWorker(name, hub.channel(name)) for name in plan.workers]
        self.programs = [WorkerProgram(model, self.schedule, i) for i, model in enumerate(self.models)]
        for i, (worker, program) in enumerate(zip(self.workers, self.programs, strict=True)):
            if on_tensor:
                program.stages = tuple(_Observed(stage, i, on_tensor) for stage in program.stages)
            worker.install(1, 1, program, frame_timeout_s=float("inf"))
        self.frame = 0

    def run(self, frame: np.ndarray) -> Answer:
        """Answer one frame `(H, W, 3)` uint8.

        Raises
        ------
        RuntimeError
            When the workers stop before there is an answer, because fragments were dropped or refused.
        """
        key = FrameKey(1, 1, self.frame)
        self.frame += 1
        self.coordinator.start(key, self.schedule, frame)
        while sum(worker.poll(0.0) for worker in self.workers):
            pass
        while self.coordinator.take(0.0):
            pass
        answers = self.coordinator.finished()
        if not answers:
            refused = {w.name: dict(w.inbox.rejected) for w in self.workers if w.inbox.rejected}
            raise RuntimeError(f"no answer for {key}; refused fragments: {refused or 'none'}")
        return answers[0]
