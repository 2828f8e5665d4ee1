"""Whether a worker is slow. One rule for all pictures of a cluster."""

import math

from coedge_ros.msg import ManagerStatus, WorkerStatus

SLOW_BELOW = 0.75  # of its own speed at start


def current_factor(status: WorkerStatus, manager: ManagerStatus | None) -> float:
    """A worker's speed now, as a factor on that at its start; NaN: not known.

    As the manager tracks it from frames, or as an idle worker measures itself.
    """
    tracked = {speed.name: speed.factor for speed in manager.speeds} if manager else {}
    return tracked.get(status.name, status.idle_factor) or math.nan  # 0: a message in which nobody has filled it in


def is_slow(status: WorkerStatus, factor: float) -> bool:
    """Whether its processor is held back, or it is clearly slower than at its start (`current_factor`)."""
    return status.throttled or factor < SLOW_BELOW
