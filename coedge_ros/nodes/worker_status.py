"""What a worker says of itself, several times per second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.host_report import HostReport
from coedge_ros.nodes.pace import steady_timer

if TYPE_CHECKING:
    from coedge_ros.nodes.worker import Worker

INACTIVE_S = 0.4  # between two statuses of an inactive worker; its silence must not look like death
LOAD_S = 0.1  # the load is counted over no less, also when statuses follow each other
ACTIVE_S = 2.0  # a worker that answered within this time counts as active


class WorkerReport:
    """Keeps the worker's state in words, and publishes it with its counters."""

    def __init__(self, worker: Worker):
        self._worker = worker
        self.state, self.text = WorkerStatus.STATE_LOADING, "starts"
        self._sent_s = 0.0
        self._period = (time.monotonic(), 0.0)
        self._load = 0.0
        self._host = HostReport(worker, worker.values)
        self._publisher = worker.create_publisher(
            WorkerStatus,
            topics.WORKER_STATUS,
            qos.STATUS,
            event_callbacks=qos.publisher_events(worker, topics.WORKER_STATUS),
        )
        period_s = 1 / worker.values["status_rate_hz"]
        group = MutuallyExclusiveCallbackGroup()
        steady_timer(worker, period_s, self._send_now_and_then, group)
        self._news = worker.create_guard_condition(self.send, group)

    def say(self, state: int, text: str) -> None:
        """Change state and text."""
        self.text, self.state = text, state

    def _send_now_and_then(self) -> None:
        if self._worker.is_active or time.monotonic() - self._sent_s > INACTIVE_S:
            self.send()

    def send_soon(self) -> None:
        """Have the status sent without waiting for its turn: the manager waits for it. Called by any thread."""
        self._news.trigger()

    def send(self) -> None:
        """Publish the status of this moment."""
        self._sent_s = time.monotonic()
        self._publisher.publish(self.message())

    def message(self) -> WorkerStatus:
        """The status message of this moment."""
        worker = self._worker
        values, totals, inbox = worker.values, worker.bands.totals, worker.bands.inbox
        message = WorkerStatus(
            protocol_version=PROTOCOL_VERSION,
            name=worker.worker_name,
            instance=worker.instance,
            host=worker.host_name,
            device=values["device"],
            state=self.state,
            message=self.text,
            model=values["model"],
            threads=values["threads"],
            speed_macs_per_s=worker.speed_macs_per_s,
            idle_factor=worker.own_speed.factor,
            matched_peers=worker.channel.matched(),
            frames=totals.frames,
            frames_abandoned=totals.abandoned,
            bytes_in=inbox.bytes_in,
            bytes_out=totals.bytes_out,
            transfers_asked=totals.asked,
            transfers_resent=worker.channel.resent,
        )
        message.header.stamp = worker.get_clock().now().to_msg()
        if not worker.is_active and not worker.is_loading and self.state != WorkerStatus.STATE_ERROR:
            message.state, message.message = WorkerStatus.STATE_INACTIVE, worker.state_text()
        is_active = time.perf_counter() - totals.last_finished_s < ACTIVE_S
        if message.state == WorkerStatus.STATE_READY and is_active:
            message.state = WorkerStatus.STATE_ACTIVE
        if worker.model:
            message.model_digest = worker.model.graph.digest
            message.height, message.width = worker.model.graph.input.shape[2:]
        self._add_plans(message)
        self._add_load(message)
        rejected = dict(inbox.rejected)  # copied before it is read twice: the data thread adds to it at the same time
        message.rejected_reasons, message.rejected_counts = list(rejected), list(rejected.values())
        return message

    def _add_plans(self, message: WorkerStatus) -> None:
        programs = dict(self._worker.bands.programs)  # in the order of their arrival
        message.prepared_sessions = [session for session, _ in programs]
        message.prepared_epochs = [epoch for _, epoch in programs]
        if programs:
            (message.session, _), newest = list(programs.items())[-1]
            message.rows = len(newest.schedule.owned_rows(newest.worker, 0))

    def _add_load(self, message: WorkerStatus) -> None:
        totals = self._worker.bands.totals
        now_s = time.monotonic()
        began_s, busy_before_s = self._period
        seconds, busy_s = now_s - began_s, totals.busy_s - busy_before_s
        if seconds > LOAD_S:
            self._period = (now_s, totals.busy_s)
            self._load = min(1.0, busy_s / seconds)
        message.load = self._load
        self._host.add_to(message)
        if last := totals.last:
            message.compute_ms, message.wait_ms = last.compute_s * 1e3, last.wait_s * 1e3
            message.transmit_ms = last.transmit_s * 1e3
