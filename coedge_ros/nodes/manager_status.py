"""What the partition manager says of itself: its status message, and a line on /diagnostics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

from coedge_ros.msg import ManagerStatus
from coedge_ros.nodes import qos, topics
from coedge_ros.nodes.diagnostics import diagnostic_array
from coedge_ros.nodes.pace import steady_timer
from coedge_ros.nodes.supervisor import IssuedPlan

if TYPE_CHECKING:
    from coedge_ros.nodes.partition_manager import PartitionManager

STATUS_S = 0.5
DIAGNOSTICS_S = 1.0  # what diagnostic tools expect
UNMATCHED_LIMIT_S = 3.0  # a camera that publishes and does not match for so long never will

STATES = {
    ManagerStatus.STATE_LOADING: "loading",
    ManagerStatus.STATE_WAITING: "waiting",
    ManagerStatus.STATE_PREPARING: "preparing",
    ManagerStatus.STATE_ACTIVE: "active",
    ManagerStatus.STATE_ALONE: "alone",
    ManagerStatus.STATE_ERROR: "error",
    ManagerStatus.STATE_INACTIVE: "inactive",
}
_LEVELS = {
    ManagerStatus.STATE_ACTIVE: DiagnosticStatus.OK,
    ManagerStatus.STATE_ALONE: DiagnosticStatus.ERROR,
    ManagerStatus.STATE_ERROR: DiagnosticStatus.ERROR,
}


class ManagerReport:
    """Keeps the manager's state in words, and publishes it with its counters."""

    def __init__(self, manager: PartitionManager):
        self._manager = manager
        self.state, self.text = ManagerStatus.STATE_LOADING, "starts"
        self.replans = 0
        self._rejected_before = 0
        self._silent_since_s: dict[str, float] = {}  # by topic
        self._status = manager.create_publisher(ManagerStatus, topics.MANAGER_STATUS, qos.MANAGER_STATUS)
        self._diagnostics = manager.create_publisher(DiagnosticArray, topics.DIAGNOSTICS, qos.DIAGNOSTICS)
        group = MutuallyExclusiveCallbackGroup()
        steady_timer(manager, STATUS_S, self.send, group)
        self._news = manager.create_guard_condition(self.send, group)
        steady_timer(manager, DIAGNOSTICS_S, self._send_diagnostics, group)

    def say(self, state: int | None, text: str | None = None) -> None:
        """Change state and text; None leaves them."""
        self.state = self.state if state is None else state
        self.text = self.text if text is None else text

    def send_soon(self) -> None:
        """Have the status sent without waiting for its turn. Called by any thread."""
        self._news.trigger()

    def planned(self, plan: IssuedPlan, reason: str) -> None:
        """A plan is about to be published."""
        self.replans += plan.epoch > 1
        self.say(ManagerStatus.STATE_PREPARING, f"plan {plan.epoch} ({reason}): {plan.schedule.plan}")

    def message(self) -> ManagerStatus:
        """The status message of this moment."""
        manager = self._manager
        book, plan = manager.server.book, manager.supervisor.in_force
        # Copied before they are read twice: the data thread adds to them at the same time.
        dropped, rejected = dict(book.dropped), dict(manager.server.coordinator.inbox.rejected)
        message = ManagerStatus(
            state=self.state,
            message=self.text,
            session=manager.session,
            epoch=plan.epoch if plan else 0,
            workers=sorted(manager.membership.members),
            missing=list(manager.supervisor.missing),
            frames_received=book.received,
            frames_accepted=book.accepted,
            frames_answered=book.answered,
            dropped_reasons=list(dropped),
            dropped_counts=list(dropped.values()),
            replans=self.replans,
            rejected_reasons=list(rejected),
            rejected_counts=list(rejected.values()),
        )
        if why := manager.why_no_images():
            message.state, message.message = ManagerStatus.STATE_INACTIVE, why
        manager.adaptation.add_to(message, plan)
        message.header.stamp = manager.get_clock().now().to_msg()
        return message

    def send(self) -> None:
        """Publish the status of this moment."""
        self._status.publish(self.message())
        self._check_camera()

    def _send_diagnostics(self) -> None:
        message = self.message()
        rejected = sum(message.rejected_counts)
        line = manager_diagnostics(message, rejected - self._rejected_before)
        self._rejected_before = rejected
        lines = [line, self._manager.server.outlet.diagnostics()]
        namespace = self._manager.get_namespace()
        self._diagnostics.publish(diagnostic_array(lines, message.header.stamp, namespace))

    def _check_camera(self) -> None:
        """Where a camera publishes and nothing can arrive, it never will: say it."""
        now_s = time.monotonic()
        silent = self._manager.server.cameras.silent(self._manager)
        self._silent_since_s = {topic: self._silent_since_s.get(topic, now_s) for topic in silent}
        for topic, text in silent.items():
            if now_s - self._silent_since_s[topic] > UNMATCHED_LIMIT_S:
                self._manager.get_logger().error(text, throttle_duration_sec=10.0)


def manager_diagnostics(status: ManagerStatus, newly_rejected: int = 0) -> DiagnosticStatus:
    """The manager's line.

    Parameters
    ----------
    status : ManagerStatus
        Of this moment.
    newly_rejected : int
        Fragments that were refused since the last line; they make a warning of an otherwise good one.
    """
    name = STATES.get(status.state, "error")
    level = _LEVELS.get(status.state, DiagnosticStatus.WARN)
    text = f"{name}: {status.message}" if status.message else name
    if level == DiagnosticStatus.OK and newly_rejected > 0:
        level, text = DiagnosticStatus.WARN, f"{name}; refused {newly_rejected} fragments"
    values = {
        "state": name,
        "session": status.session,
        "epoch": status.epoch,
        "workers": " ".join(status.workers),
        "missing": " ".join(status.missing),
        "frames_received": status.frames_received,
        "frames_accepted": status.frames_accepted,
        "frames_answered": status.frames_answered,
        "replans": status.replans,
        "latency_ms": f"{status.latency_ms:.1f}",
        "predicted_ms": f"{status.predicted_ms:.1f}",
        **{f"speed_factor_{s.name}": f"{s.factor:.2f}" for s in status.speeds},
        **{f"mbit_per_s_{s.source}_to_{s.target}": f"{s.bytes_per_s / 125e3:.3g}" for s in status.links},
        **{f"dropped_{r}": c for r, c in zip(status.dropped_reasons, status.dropped_counts, strict=True)},
        **{f"rejected_{r}": c for r, c in zip(status.rejected_reasons, status.rejected_counts, strict=True)},
    }
    return DiagnosticStatus(
        level=level,
        name="coedge: partition manager",
        message=text,
        values=[KeyValue(key=key.replace(" ", "_"), value=str(value)) for key, value in values.items()],
    )
