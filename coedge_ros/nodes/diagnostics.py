"""Worker status as `diagnostic_msgs`, for rqt_robot_monitor and its like."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes.topics import DEFAULT_NAMESPACE

if TYPE_CHECKING:  # it imports torch, which those who only look at a cluster need not wait for
    from coedge_ros.execution.comparison import Comparison

STATES = {
    WorkerStatus.STATE_LOADING: "loading",
    WorkerStatus.STATE_READY: "ready",
    WorkerStatus.STATE_ACTIVE: "active",
    WorkerStatus.STATE_ERROR: "error",
    WorkerStatus.STATE_RESTING: "resting",
    WorkerStatus.STATE_INACTIVE: "inactive",
}


def state_name(status: WorkerStatus) -> str:
    """Its state in one word, `error` for one that this version does not know."""
    return STATES.get(status.state, "error")


def rejected_total(status: WorkerStatus) -> int:
    """Fragments that the worker has dropped since its start."""
    return sum(status.rejected_counts)


def worker_diagnostics(status: WorkerStatus, silent_s: float = 0.0, newly_rejected: int = 0) -> DiagnosticStatus:
    """One worker's line.

    Parameters
    ----------
    status : WorkerStatus
        The last one that arrived.
    silent_s : float
        How long nothing has been heard, if that is too long [s]; 0 when it is heard.
    newly_rejected : int
        Fragments that it dropped since the last line; they make a warning of an otherwise good one.
    """
    state = state_name(status)
    level, message = DiagnosticStatus.OK, state
    if silent_s > 0:
        level, message = DiagnosticStatus.STALE, f"no status for {silent_s:.1f} s"
    elif state == "error":
        level, message = DiagnosticStatus.ERROR, status.message or "error without a message"
    elif newly_rejected > 0:
        level, message = DiagnosticStatus.WARN, f"{state}; dropped {newly_rejected} fragments"
    elif state in ("loading", "resting", "inactive"):
        level, message = DiagnosticStatus.WARN, status.message or state
    elif status.message:
        message = f"{state}: {status.message}"
    values = {
        "state": state,
        "device": status.device,
        "threads": status.threads,
        "model": status.model,
        "model_digest": status.model_digest[:12],
        "input_size": f"{status.height}x{status.width}",
        "speed_macs_per_s": f"{status.speed_macs_per_s:.4g}",
        "session": status.session,
        "prepared_epochs": " ".join(str(epoch) for epoch in status.prepared_epochs),
        "matched_peers": " ".join(status.matched_peers),
        "load": f"{status.load:.2f}",
        "rows": status.rows,
        "frames": status.frames,
        "frames_abandoned": status.frames_abandoned,
        "compute_ms": f"{status.compute_ms:.2f}",
        "wait_ms": f"{status.wait_ms:.2f}",
        "transmit_ms": f"{status.transmit_ms:.2f}",
        "bytes_in": status.bytes_in,
        "bytes_out": status.bytes_out,
        "transfers_asked": status.transfers_asked,
        "transfers_resent": status.transfers_resent,
        "power_source": status.power_source,
        "power_w": f"{status.power_w:.2f}",
        "energy_j": f"{status.energy_j:.3f}",
        "temperature_c": f"{status.temperature_c:.1f}",
        "battery": f"{status.battery:.2f}",
        "throttled": status.throttled,
        # Not strict: a message whose two lists differ in length is still worth showing.
        **{
            f"rejected_{reason}": count
            for reason, count in zip(status.rejected_reasons, status.rejected_counts, strict=False)
        },
    }
    return DiagnosticStatus(
        level=level,
        name=f"coedge: worker {status.name}",
        message=message,
        hardware_id=status.host,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


@dataclass(slots=True)
class CheckTotals:
    """Self-checks since start: how many, how many were wrong or failed, the last and the worst one's figures."""

    checked: int = 0
    wrong: int = 0
    failed: int = 0
    last: Comparison | None = None
    worst: Comparison | None = None

    def add(self, found: Comparison | None) -> None:
        """Count one; None for one that failed."""
        if found is None:
            self.failed += 1
            return
        self.checked += 1
        self.wrong += not found.is_equal
        self.last = found
        self.worst = max(self.worst or found, found, key=lambda c: c.ratio)


def check_diagnostics(totals: CheckTotals, every: int, doubt: str) -> DiagnosticStatus:
    """The self-check's line: an error while the workers are not believed (`doubt` says why)."""
    level, message = DiagnosticStatus.OK, f"every {every} frames" if every else "off"
    if doubt:
        level, message = DiagnosticStatus.ERROR, f"the manager answers alone: {doubt}"
    elif totals.last is not None and not totals.last.is_equal:
        level, message = DiagnosticStatus.ERROR, f"the manager's own answer is wrong: {totals.last}"
    elif totals.failed:
        level, message = DiagnosticStatus.WARN, f"{totals.failed} frames could not be checked"
    last, worst = totals.last, totals.worst
    values = {
        "frames_checked": totals.checked,
        "frames_wrong": totals.wrong,
        "checks_failed": totals.failed,
        "max_abs_diff": f"{last.max_abs_diff if last else math.nan:.4g}",
        "scale": f"{last.scale if last else math.nan:.4g}",
        "worst_max_abs_diff": f"{worst.max_abs_diff if worst else math.nan:.4g}",
        "worst_scale": f"{worst.scale if worst else math.nan:.4g}",
    }
    return DiagnosticStatus(
        level=level,
        name="coedge: self-check",
        message=message,
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def diagnostic_array(lines: Iterable[DiagnosticStatus], stamp: Time, namespace: str) -> DiagnosticArray:
    """All lines as one message.

    /diagnostics is one topic for the whole graph, and its readers keep the last line of each name: outside the default
    namespace a line's name ends with the namespace, so that two clusters do not overwrite each other's.
    """
    lines = list(lines)
    if namespace.strip("/") != DEFAULT_NAMESPACE:
        for line in lines:
            line.name += f" ({namespace})"
    return DiagnosticArray(header=Header(stamp=stamp), status=lines)
