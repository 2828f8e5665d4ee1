"""Checks of a running cluster, from what its members said: pure functions on records, without ROS running."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible

from coedge_ros.execution.fragment import PROTOCOL_VERSION
from coedge_ros.spec.finding import Finding, fail, ok, warn

CLOCK_LIMIT_S = 0.1  # far above what a message takes; time stamps of different hosts are then of little use together


@dataclass(frozen=True, slots=True)
class HeardWorker:
    """One process of a worker.

    Attributes
    ----------
    instance : int
        Drawn by it at its start.
    size : (int, int)
        Input (H, W) of its model.
    error : str
        Why it cannot work; empty when it can, or will.
    resting : str
        Why its host must not work now (battery, heat); empty when it may.
    inactive : str
        What its lifecycle state lacks; empty when it is active.
    first_s, last_s : float
        When it was heard first and last, monotonic.
    clock_s : float
        Least (our clock when a status came - its stamp): how far its clock is behind ours, and the way here.
    """

    name: str
    instance: int
    host: str
    protocol: int
    digest: str
    size: tuple[int, int]
    error: str = ""
    first_s: float = 0.0
    last_s: float = 0.0
    clock_s: float = 0.0
    resting: str = ""
    inactive: str = ""


@dataclass(frozen=True, slots=True)
class HeardManager:
    """What the manager says of itself.

    Attributes
    ----------
    state : str
        loading, waiting, preparing, active, alone or error.
    message : str
        In its own words.
    missing : tuple of str
        Workers that it waits for or does without.
    received : int
        Images that have come since its start.
    """

    state: str
    message: str = ""
    missing: tuple[str, ...] = ()
    received: int = 0


@dataclass(frozen=True, slots=True)
class HeardPlan:
    """The manager's model, from its newest plan."""

    protocol: int
    digest: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A publisher or a subscription of a topic, as discovery tells."""

    topic: str
    node: str
    is_publisher: bool
    kind: str
    qos: QoSProfile


def check_members(
    expected: Collection[str], workers: Iterable[HeardWorker], managers: int, known: Collection[str] = ()
) -> list[Finding]:
    """Who of the cluster file is missing, who is there unexpectedly, who is there twice.

    Parameters
    ----------
    expected : collection of str
        Workers that the manager waits for.
    known : collection of str
        All workers of the cluster file, those included that may come later or never.
    """
    heard, found = list(workers), []
    names = {w.name for w in heard}
    if missing := sorted(set(expected) - names):
        found.append(fail(
            "workers", f"missing: {', '.join(missing)}",
            "start them; if they run: same ROS_DOMAIN_ID and namespace, and no discovery range of one host (coedge "
            "doctor there)",
        ))  # fmt: skip
    if strange := sorted(names - set(expected) - set(known)):
        found.append(warn(
            "workers", f"not in the cluster file: {', '.join(strange)}",
            "add them to the file, or give the cluster that they belong to another ROS_DOMAIN_ID",
        ))  # fmt: skip
    if twice := sorted({a.name for a in heard for b in heard if _overlap(a, b)}):
        cure = "end one process of each, or name it differently (worker_name)"
        found.append(fail("workers", f"two processes at a time are called {', '.join(twice)}", cure))
    if not found:
        found.append(ok("workers", f"all {len(names)} are there"))
    if managers != 1:
        text, cure = (
            (f"{managers} at the same time", "give each cluster its own namespace or ROS_DOMAIN_ID")
            if managers
            else ("none is there", "start manager.launch.py, or coedge up --only manager, in the same domain")
        )
        found.append(fail("manager", text, cure))
    else:
        found.append(ok("manager", "one"))
    found += [
        fail("worker state", f"{w.name} cannot work: {w.error}", f"correct that on {w.host}, then start {w.name} again")
        for w in heard
        if w.error
    ]
    found += [
        warn("worker state", f"{w.name} rests: {w.resting}", f"charge or cool {w.host}, or change its limits")
        for w in heard
        if w.resting
    ]
    found += [
        warn("worker state", f"{w.name} is not used: {w.inactive}", "call that, or let it start with autostart")
        for w in heard
        if w.inactive
    ]
    return found


def check_manager(manager: HeardManager | None) -> list[Finding]:
    """What the manager itself complains of; nothing when it was not heard, which `check_members` says."""
    if manager is None:
        return []
    name, text = "manager state", manager.message or manager.state
    missing = f", without {', '.join(manager.missing)}" if manager.missing else ""
    if manager.state == "error":
        return [fail(name, f"cannot work: {text}", "correct that, then start it again")]
    if manager.state == "alone":
        return [warn(name, f"no worker can be used, it answers alone{missing}", "see what is said of the workers")]
    if manager.state != "active":
        return [warn(name, f"{manager.state}{missing}: {text}", "wait, or see what is said of the workers")]
    if not manager.received:
        cure = "let a camera publish on its image_topic (`ros2 topic list`), and see QoS and type lines of that topic"
        return [warn(name, "active, but no image has come since its start", cure)]
    return [ok(name, f"active{missing}, {manager.received} images so far")]


def _overlap(a: HeardWorker, b: HeardWorker) -> bool:
    return a.name == b.name and a.instance != b.instance and a.first_s <= b.last_s and b.first_s <= a.last_s


def check_protocol(workers: Iterable[HeardWorker], plan: HeardPlan | None) -> Finding:
    """Protocol versions against this installation's."""
    spoken = {w.name: w.protocol for w in workers} | ({"the manager": plan.protocol} if plan else {})
    others = [f"{name} {version}" for name, version in sorted(spoken.items()) if version != PROTOCOL_VERSION]
    if others:
        text = f"{', '.join(others)}; this installation {PROTOCOL_VERSION}"
        return fail("protocol version", text, "install the same version of coedge_ros on every host")
    return ok("protocol version", f"{PROTOCOL_VERSION} everywhere" if spoken else "nobody said one")


def check_model(workers: Iterable[HeardWorker], plan: HeardPlan | None) -> list[Finding]:
    """Model digests and input sizes of workers against the manager's; against each other before its first plan."""
    loaded = sorted((w for w in workers if w.digest), key=lambda w: w.name)
    if not loaded:
        return [ok("model", "no worker has loaded one yet")]
    who = "the manager" if plan else loaded[0].name
    digest, size = (plan.digest, plan.size) if plan else (loaded[0].digest, loaded[0].size)
    found = []
    if others := [f"{w.name} {w.digest[:12]}" for w in loaded if w.digest != digest]:
        found.append(fail(
            "model digest", f"{', '.join(others)}; {who} {digest[:12]}",
            "start all with the same model and the same file of weights",
        ))  # fmt: skip
    if others := [f"{w.name} {w.size[0]}x{w.size[1]}" for w in loaded if w.size != size]:
        cure = "start all with the same height and width"
        found.append(fail("input size", f"{', '.join(others)}; {who} {size[0]}x{size[1]}", cure))
    return found or [ok("model", f"{digest[:12]}, {size[0]}x{size[1]}, everywhere")]


def check_clocks(workers: Iterable[HeardWorker]) -> list[Finding]:
    """Clocks of hosts against this one's.

    Stamps say it only up to the time that a message takes, which is contained. Latencies of coedge_ros come from
    monotonic clocks and do not suffer; whoever compares stamps of several hosts does.
    """
    by_host: dict[str, float] = {}
    for worker in workers:
        by_host[worker.host] = min(by_host.get(worker.host, worker.clock_s), worker.clock_s)
    found = []
    for host, behind_s in sorted(by_host.items()):
        text = f"{abs(behind_s) * 1e3:.0f} ms {'behind' if behind_s > 0 else 'ahead of'} this host, way of a message in"
        if abs(behind_s) > CLOCK_LIMIT_S:
            cure = "run chrony or another NTP client on every host (workers with use_sim_time show the simulation's)"
            found.append(warn(f"clock of {host}", text, cure))
        else:
            found.append(ok(f"clock of {host}", text))
    return found


def check_endpoints(endpoints: Sequence[Endpoint]) -> list[Finding]:
    """Publishers and subscriptions of a topic that cannot match: QoS or type."""
    found, seen = [], 0
    for offer in (e for e in endpoints if e.is_publisher):
        for ask in (e for e in endpoints if not e.is_publisher and e.topic == offer.topic):
            seen += 1
            pair = f"{offer.node} publishes, {ask.node} reads"
            if offer.kind != ask.kind:
                cure = "use one type, from the same version of its package, on both sides"
                found.append(fail(f"type {offer.topic}", f"{pair}: {offer.kind} and {ask.kind}", cure))
                continue
            verdict, reason = qos_check_compatible(offer.qos, ask.qos)
            if verdict == QoSCompatibility.ERROR:
                found.append(fail(
                    f"QoS {offer.topic}", f"{pair}: {reason.strip().rstrip(';')}",
                    f"strengthen what {offer.node} offers or relax what {ask.node} asks for (image_reliable: false for "
                    "images)",
                ))  # fmt: skip
    return found or [ok("QoS", f"{seen} pairs of publisher and reader fit")]
