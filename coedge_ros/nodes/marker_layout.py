"""Where the markers of workers and manager stand: as the cluster file says, else side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coedge_ros.spec.cluster import ClusterSpec, Host

SPACING_M = 2.0  # between neighbours; labels are narrower
MANAGER_X_M = -2.0  # in front of the row, seen from the negative x axis: flat, so it hides nothing


@dataclass(frozen=True, slots=True)
class Place:
    """A point on the ground: (x, y, z) [m] in a tf frame."""

    frame_id: str
    x: float
    y: float
    z: float = 0.0


class MarkerLayout:
    """Gives each worker its place.

    Parameters
    ----------
    frame_id : str
        Frame of all that has no frame of its own.
    cluster : ClusterSpec, optional
        Hosts with `position` and `frame`; without it all workers stand in a row.
    """

    def __init__(self, frame_id: str, cluster: ClusterSpec | None = None):
        self._frame_id = frame_id
        self._hosts = {host.name: host for host in cluster.hosts} if cluster else {}
        self._host_of = {worker.name: worker.host for worker in cluster.workers} if cluster else {}
        self._manager = self._hosts.get(cluster.manager_host) if cluster else None

    def places(self, workers: Iterable[tuple[str, str]]) -> dict[str, Place]:
        """Places of workers, given as (name, host that the worker itself names), from left to right.

        The cluster file's word on the host of a worker goes before the worker's own. Workers of one host stand side by
        side about its position, those of hosts without a position about the origin, all along the y axis.
        """
        groups: dict[str, list[str]] = {}  # by host; "" for the row
        for name, host in workers:
            host = self._host_of.get(name, host)
            groups.setdefault(host if _stands(self._hosts.get(host)) else "", []).append(name)
        found = {}
        for host, names in groups.items():
            centre = self._centre(self._hosts.get(host))
            for slot, name in enumerate(names):
                y = centre.y + ((len(names) - 1) / 2 - slot) * SPACING_M
                found[name] = Place(centre.frame_id, centre.x, y, centre.z)
        return found

    def manager(self) -> Place:
        """The manager's place: in front of its host's workers, or of the row."""
        centre = self._centre(self._manager if _stands(self._manager) else None)
        return Place(centre.frame_id, centre.x + MANAGER_X_M, centre.y, centre.z)

    def _centre(self, host: Host | None) -> Place:
        if host is None:
            return Place(self._frame_id, 0.0, 0.0)
        return Place(host.frame or self._frame_id, *(host.position or (0.0, 0.0, 0.0)))


def _stands(host: Host | None) -> bool:
    """Whether the file says where this host is."""
    return host is not None and (host.position is not None or bool(host.frame))
