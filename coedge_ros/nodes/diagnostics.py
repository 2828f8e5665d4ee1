"""Worker status as `diagnostic_msgs`, for rqt_robot_monitor and its like."""

from collections.abc import Iterable

from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from std_msgs.msg import Header

from coedge_ros.msg import WorkerStatus

STATES = {
    WorkerStatus.STATE_LOADING: "loading",
    WorkerStatus.STATE_READY: "ready",
    WorkerStatus.STATE_ACTIVE: "active",
    WorkerStatus.STATE_ERROR: "error",
}


def state_name(status: WorkerStatus) -> str:
    """`loading`, `ready`, `active` or `error`; a state that this version does not know is an error."""
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
    elif state == "loading":
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
        "power_w": f"{status.power_w:.2f}",
        "energy_j": f"{status.energy_j:.3f}",
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


def diagnostic_array(lines: Iterable[DiagnosticStatus], stamp: Time) -> DiagnosticArray:
    """All lines as one message."""
    return DiagnosticArray(header=Header(stamp=stamp), status=list(lines))
