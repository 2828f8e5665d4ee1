"""What the planner knows of the workers: the cluster file and what was measured since."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from coedge_ros.errors import UserError
from coedge_ros.spec.cluster import ClusterSpec, MeasuredTimes


@dataclass(frozen=True)
class Profile:
    """A cluster and measured speeds.

    Attributes
    ----------
    measured_macs_per_s : mapping of worker name to float
        Speeds as the workers measured them, multiply-accumulates per second; they come before the file's figures.
    measured_together : bool
        Whether all workers of a host were busy when that was measured (they announce their speeds at the same time), so
        that contention for the host's cores is in the figures already.
    model : str
        Name of the model, to find measured stage times in the file; "" for none.
    """

    cluster: ClusterSpec
    measured_macs_per_s: Mapping[str, float] = field(default_factory=dict)
    measured_together: bool = False
    model: str = ""

    def speed_macs_per_s(self, worker: str) -> float:
        """Speed that plans are made with: measured, else from the file, times the worker's speed factor.

        Raises
        ------
        UserError
            If the speed is not known.
        """
        spec = self.cluster.worker(worker)
        speed = self.measured_macs_per_s.get(worker, 0.0) or spec.macs_per_s
        if not speed > 0:
            raise UserError(
                f"the speed of worker {worker!r} is not known: let it measure, or give macs_per_s in "
                f"{self.cluster.source}"
            )
        return speed * spec.speed_factor

    def times_of(self, worker: str, height: int, width: int) -> MeasuredTimes | None:
        """Measured stage times of this model at this size, or None."""
        for times in self.cluster.worker(worker).measured:
            if self.model and (times.model, times.height, times.width) == (self.model, height, width):
                return times
        return None

    def only(self, names: Iterable[str]) -> Profile:
        """The profile with just these workers."""
        return replace(self, cluster=self.cluster.only(names))

    def with_cluster(self, cluster: ClusterSpec) -> Profile:
        """The same measurements in another cluster (other links, for instance)."""
        return replace(self, cluster=cluster)
