"""The cluster as its file describes it: hosts, workers, powers and links. Values only; `cluster_file` reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from coedge_ros.errors import UserError


@dataclass(frozen=True, slots=True)
class Host:
    """A machine.

    Attributes
    ----------
    cores : float
        Cores that its workers share; 0: contention between its workers is not modelled. A fraction stands for shared
        memory and clock: two workers that slow each other to 1.4 times have 1.43 cores.
    idle_w : float
        Power that it draws for being on [W], apart from what its workers' own figures contain.
    position : tuple of float, optional
        Where it stands in pictures of the cluster, (x, y, z) [m] in `frame`; None: not told.
    frame : str
        tf frame of the robot, which moves with it; empty: the frame of the pictures.
    """

    name: str
    cores: float = 0
    idle_w: float = 0.0
    position: tuple[float, float, float] | None = None
    frame: str = ""


@dataclass(frozen=True, slots=True)
class Power:
    """What a worker draws [W]: waiting, computing, and while its link is busy.

    As a meter would show, not differences.
    """

    idle_w: float = 0.0
    compute_w: float = 0.0
    transmit_w: float = 0.0


@dataclass(frozen=True, slots=True)
class StageTimes:
    """Measured time of the operators `first` to `last` at several row counts of the last map that they make."""

    first: str
    last: str
    rows: tuple[int, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class MeasuredTimes:
    """Stage times of one model at one input size on one worker."""

    model: str
    height: int
    width: int
    stages: tuple[StageTimes, ...]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """A process that computes bands.

    Attributes
    ----------
    threads : int
        Threads that it computes with; with the host's cores they tell how workers of one host slow each other.
    device : str
        `cpu`, `cuda:0`, ...
    speed_factor : float
        The planner takes measured speed times this. 1 plans with what was measured; other values pretend.
    macs_per_s : float
        Speed when nothing was measured, multiply-accumulates per second; 0: unknown.
    stage_s, message_s : float
        Processor time per stage, and per message sent or received [s].
    memory_bytes : int
        For weights and maps; 0: not limited.
    energy_cap_j : float
        Most energy per frame [J] (a battery's share).
    duty_cap : float
        Most of a frame's time that it may compute, (0, 1] (a thermal limit).
    """

    name: str
    host: str
    threads: int = 1
    device: str = "cpu"
    speed_factor: float = 1.0
    power: Power = Power()
    macs_per_s: float = 0.0
    stage_s: float = 0.0
    message_s: float = 0.0
    memory_bytes: int = 0
    energy_cap_j: float = inf
    duty_cap: float = 1.0
    measured: tuple[MeasuredTimes, ...] = ()


@dataclass(frozen=True, slots=True)
class Link:
    """One direction between two hosts: a message of n bytes takes `alpha_s + n / bytes_per_s`; 0 bytes/s: no link."""

    alpha_s: float
    bytes_per_s: float

    def seconds(self, size_bytes: float) -> float:
        """Time of one message when nothing else is on the link."""
        return self.alpha_s + size_bytes / self.bytes_per_s if self.bytes_per_s > 0 else inf


WITHIN_HOST = Link(0.0002, 1e9)


@dataclass(frozen=True)
class ClusterSpec:
    """Everything that a cluster file says.

    Attributes
    ----------
    links : mapping of (from host, to host) to Link
        Where they differ from `default_link`, one direction each. Workers of one host use `within_host`.
    manager_host, manager_transmit_w
        Where frames enter, and what sending them costs there [W].
    camera_host : str
        Where the camera node runs.
    expected : tuple of str
        Workers that the manager waits for.
    network : str
        `wired` or `wireless`: which of the package's Fast DDS profiles fits.
    source : str
        The file, for messages.
    """

    hosts: tuple[Host, ...]
    workers: tuple[WorkerSpec, ...]
    default_link: Link
    manager_host: str
    within_host: Link = WITHIN_HOST
    links: Mapping[tuple[str, str], Link] = field(default_factory=dict)
    manager_transmit_w: float = 0.0
    camera_host: str = ""
    network: str = "wired"
    expected: tuple[str, ...] = ()
    description: str = ""
    source: str = "cluster"

    def __post_init__(self):
        hosts = [host.name for host in self.hosts]
        workers = [worker.name for worker in self.workers]
        for what, names in (("host", hosts), ("worker", workers)):
            if repeated := sorted({name for name in names if names.count(name) > 1}):
                raise UserError(f"{self.source}: {what} {repeated[0]!r} is there twice; give each its own name")
        for worker in self.workers:
            self._known(worker.host, hosts, f"worker {worker.name!r}: host")
        self._known(self.manager_host, hosts, "manager: host")
        self._known(self.camera_host or self.manager_host, hosts, "camera: host")
        for pair in self.links:
            for name in pair:
                self._known(name, hosts, f"links: pairs: {pair[0]} to {pair[1]}: host")
        for name in self.expected:
            self._known(name, workers, "manager: expected: worker")

    def _known(self, name: str, names: list[str], where: str) -> None:
        if name not in names:
            raise UserError(f"{self.source}: {where} {name!r} is not in the file; it has {', '.join(names) or 'none'}")

    @property
    def worker_names(self) -> tuple[str, ...]:
        """Names in the order of the file, which is the order of the bands."""
        return tuple(worker.name for worker in self.workers)

    def worker(self, name: str) -> WorkerSpec:
        """Worker by name (KeyError when there is none)."""
        for worker in self.workers:
            if worker.name == name:
                return worker
        raise KeyError(name)

    def host(self, name: str) -> Host:
        """Host by name (KeyError when there is none)."""
        for host in self.hosts:
            if host.name == name:
                return host
        raise KeyError(name)

    def link(self, source_host: str, target_host: str) -> Link:
        """Link from one host to another, or within one."""
        if source_host == target_host:
            return self.within_host
        return self.links.get((source_host, target_host), self.default_link)

    def only(self, names: Iterable[str]) -> ClusterSpec:
        """The cluster with just these workers, in the file's order (those that are alive, for instance)."""
        kept = set(names)
        return replace(
            self,
            workers=tuple(w for w in self.workers if w.name in kept),
            expected=tuple(n for n in self.expected if n in kept),
        )

    def with_worker(self, worker: WorkerSpec) -> ClusterSpec:
        """The cluster with one worker replaced by name, or added at the end."""
        names = self.worker_names
        workers = tuple(worker if w.name == worker.name else w for w in self.workers)
        return replace(self, workers=workers if worker.name in names else (*workers, worker))

    def with_links(self, links: Mapping[tuple[str, str], Link]) -> ClusterSpec:
        """The cluster with some links replaced by what was measured."""
        return replace(self, links={**self.links, **links})

    def with_bandwidth(self, bytes_per_s: float) -> ClusterSpec:
        """The cluster with every link between hosts at this rate, latencies kept (bandwidth sweeps)."""
        return replace(
            self,
            default_link=replace(self.default_link, bytes_per_s=bytes_per_s),
            links={pair: replace(link, bytes_per_s=bytes_per_s) for pair, link in self.links.items()},
        )

    def __str__(self) -> str:
        return f"{len(self.workers)} workers on {len(self.hosts)} hosts ({self.source})"
