"""How much of its link to the manager's host a worker uses.

An approximation, because messages count bytes by worker and not by pair: all bytes in and out of the worker are taken
as if they went to and from the manager's host. Rows that neighbours exchange are among them.
"""

import math

from coedge_ros.msg import ManagerStatus
from coedge_ros.spec.cluster import ClusterSpec


def link_use(
    bytes_in_per_s: float, bytes_out_per_s: float, host: str, cluster: ClusterSpec, manager: ManagerStatus | None
) -> float:
    """Part of what the link carries, the busier direction of the two: 1 is all of it; NaN when not known.

    Parameters
    ----------
    bytes_in_per_s, bytes_out_per_s : float
        Of the worker.
    host : str
        The worker's host in the cluster file; one that is not there has the file's default link.
    manager : ManagerStatus or None
        Its measured links go before those of the file.
    """
    measured = {(link.source, link.target): link.bytes_per_s for link in manager.links} if manager else {}
    uses = []
    for used, pair in (
        (bytes_in_per_s, (cluster.manager_host, host)),
        (bytes_out_per_s, (host, cluster.manager_host)),
    ):
        carries = measured.get(pair) or cluster.link(*pair).bytes_per_s
        uses.append(used / carries if carries > 0 else math.nan)
    known = [use for use in uses if not math.isnan(use)]
    return max(known, default=math.nan)
