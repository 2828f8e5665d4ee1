"""Links between hosts are cut to a tenth, or lose packets: plans follow, and no frame is lost."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coedge_ros.cli.bench_cluster import BenchCluster, equal_workers
from coedge_ros.cli.bench_report import percentiles
from coedge_ros.cli.chaos_plans import differs_from_command, share_of
from coedge_ros.cli.chaos_scenarios import Found, Hands
from coedge_ros.cli.chaos_setting import Setting
from coedge_ros.cli.namespaces import Hosts, subnet_discovery, why_no_namespaces
from coedge_ros.nodes.composition import PROFILE_VARIABLES, dds_profile
from coedge_ros.nodes.processes import ProcessGroup

FAST_MBIT, SLOW_MBIT = 100.0, 10.0
LOSS_PERCENT = 5
STEADY_S, LOSS_S, SETTLE_S = 5.0, 20.0, 2.0
STEADY_LIMIT_S = 30.0
FOLLOW_LIMIT_S, LIMIT_S = 3.0, 15.0
DEADLINE_S = 0.8  # the manager's frame_timeout_s, after which it would issue a frame again
NEAR = 2.0  # a link counts as measured when its rate is within this factor
RATE_HZ = 5.0  # the slow link carries some frames of the old plan


def why_no_shaping() -> str:
    """Why the scenario slow-link cannot run."""
    return why_no_namespaces("tc")


def why_no_loss() -> str:
    """Why the scenario loss cannot run."""
    return why_no_namespaces("nft")


@contextmanager
def _hosts(setting: Setting, network: str, slowness: float) -> Iterator[Hands]:
    """Each worker on a host of its own, manager and camera on the first; this process is the camera."""
    values = equal_workers(setting.workers, 1)
    names = [f"host{i}" for i in range(setting.workers + 1)]
    values["hosts"] = [{"name": name} for name in names]
    for worker, host in zip(values["workers"], names[1:], strict=True):
        worker |= {"host": host, "speed_factor": slowness}
    values["links"]["default"] = {"alpha_s": 0.0005, "bytes_per_s": FAST_MBIT * 125e3}
    values["manager"] = {"host": names[0]}
    host_of = {worker["name"]: worker["host"] for worker in values["workers"]}
    with (
        subnet_discovery(),
        Hosts(tuple(names)) as hosts,
    ):
        profile = dds_profile(f"{network}_worker")  # namespaces share /dev/shm, hosts do not

        class Spread(ProcessGroup):
            def _command(self, spec) -> list[str]:
                command = super()._command(spec)
                if spec.name not in host_of:
                    return command
                return hosts.on(host_of[spec.name], ["env", *(f"{v}={profile}" for v in PROFILE_VARIABLES), *command])

        class OverHosts(BenchCluster):
            def make_group(self, logs: Path) -> ProcessGroup:
                return Spread(None, logs)

        for name in names:
            hosts.limit(name, FAST_MBIT)
        with setting.cluster(values, kind=OverHosts, rate_hz=RATE_HZ) as hands:
            hands.hosts = hosts
            yield hands


@contextmanager
def slow_boards_on_hosts(setting: Setting) -> Iterator[Hands]:
    """Boards so slow that splitting pays over links of 100 Mbit/s."""
    # of camera and manager, which share memory
    os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(dds_profile("wired"))))
    with _hosts(setting, "wired", 0.08) as hands:
        yield hands


@contextmanager
def wireless_boards(setting: Setting) -> Iterator[Hands]:
    """The same with the profile for links that lose packets."""
    os.environ.update(dict.fromkeys(PROFILE_VARIABLES, str(dds_profile("wireless_worker"))))  # of camera and manager
    with _hosts(setting, "wireless", 0.08) as hands:
        yield hands


def slow_link(hands: Hands) -> Found:
    """One host's link is cut to 10 Mbit/s and restored; both times the plan is that of `coedge plan` for it.

    Whose rows shrink depends on the workers' speeds of that moment too, so the rows are told and not judged.
    """
    victim, traffic = hands.workers[-1], hands.traffic
    host = hands.hosts.names[-1]
    _run_until_steady(hands)
    share = share_of(hands.plan_in_force(), victim)
    figures, problems = {"rows_before": round(share, 3)}, []
    for what, rate in (("cut", SLOW_MBIT), ("restored", FAST_MBIT)):
        hands.hosts.limit(host, rate)
        began = time.monotonic()
        followed_s = traffic.run_until(lambda rate=rate: _is_made_for(hands, host, rate), LIMIT_S)
        is_late = followed_s is None or followed_s > FOLLOW_LIMIT_S
        if is_late and (followed_s or differs_from_command(hands, "now")):  # there may be nothing better than before
            problems.append(f"{what}: planned for after {followed_s or LIMIT_S:.1f} s, limit {FOLLOW_LIMIT_S:g} s")
        traffic.run_for(SETTLE_S)
        problems += [f"{what}: {text}" for text in differs_from_command(hands)]
        figures |= {
            f"{what}_s": followed_s and round(followed_s, 2),
            f"rows_{what}": round(share_of(hands.plan_in_force(), victim), 3),
            f"mbit_{what}": {
                f"{link.source} to {link.target}": round(link.planned_bytes_per_s / 125e3, 1)
                for link in hands.status.links if host in (link.source, link.target)
            },
            f"worst_{what}_ms": round(traffic.account.worst_latency_s(began) * 1e3, 1),
        }  # fmt: skip
    return Found(None, hands.plan.planning_ms / 1e3, tuple(problems), figures=figures)


def _run_until_steady(hands: Hands) -> None:
    """Until there has been no other plan for a while: the first ones are made before links and speeds are known."""
    end, epoch, since = time.monotonic() + STEADY_LIMIT_S, -1, time.monotonic()
    while time.monotonic() < end and time.monotonic() - since < STEADY_S:
        hands.traffic.step()
        if hands.traffic.epoch != epoch:
            epoch, since = hands.traffic.epoch, time.monotonic()


def _is_made_for(hands: Hands, host: str, rate_mbit: float) -> bool:
    """Whether the plan in force was made knowing that the host's link carries something else now.

    Not of all peers: once a plan does without a link, what it carries changes nothing.
    """
    links = [link for link in hands.status.links if host in (link.source, link.target)]
    return any(rate_mbit / NEAR <= link.planned_bytes_per_s / 125e3 <= rate_mbit * NEAR for link in links)


def loss(hands: Hands) -> Found:
    """5 % of all packets are lost at random, on every host."""
    hands.traffic.run_for(STEADY_S)
    hands.traffic.settle()
    quiet = percentiles(hands.traffic.account.latencies_s() or [math.nan])
    hands.hosts.lose(LOSS_PERCENT)
    began = time.monotonic()
    hands.traffic.run_for(LOSS_S)
    hands.traffic.settle()
    lossy = percentiles(hands.traffic.account.latencies_s(began) or [math.nan])
    problems = []
    if not lossy["p99"] <= DEADLINE_S * 1e3:
        problems.append(f"p99 is {lossy['p99']:.0f} ms, deadline {DEADLINE_S * 1e3:.0f} ms")
    figures = {"without_loss_ms": quiet, "with_loss_ms": lossy, "deadline_ms": DEADLINE_S * 1e3,
               "attempts": max((r.attempts for r in hands.traffic.account.results.values()), default=0)}  # fmt: skip
    return Found(problems=tuple(problems), figures=figures)
