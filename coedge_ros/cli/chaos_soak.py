"""`coedge chaos --only soak`: frames for a long time while all cores compute and a worker is killed again and again.

The first worker and the manager are never killed: they must not grow, and nobody who lives may be taken for dead.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass

import psutil

from coedge_ros.cli.chaos_scenarios import Found, Hands
from coedge_ros.nodes.run import STARTS_ANEW
from coedge_ros.nodes.shared_memory import bytes_in_use

KILL_EVERY_S = 60.0
LOSE_LIMIT_S = 20.0  # where all cores compute, nobody is missed as soon as elsewhere
START_LIMIT_S = 60.0  # of a killed worker, among processes that want all cores
SAMPLES = 6  # at least
FIRST_LOSSES = 2  # of each other worker, before growth is counted
GROWTH_LIMIT = 0.02  # of private memory, from the most in the first half to the most in the second: a plan with more
# rows or more neighbours needs more, so one sample beside another says nothing
SHARED_LIMIT_BYTES = 2**20
_BURN = "import os\nparent = os.getppid()\nwhile os.getppid() == parent:\n    sum(range(100000))"
_GONE = (
    "worker {} is silent: it is gone"  # as the manager's log says; compared with the kills, so it cannot pass unseen
)


@dataclass(frozen=True, slots=True)
class Held:
    """What one process holds; memory that it shares with others is counted apart, see `bytes_in_use`."""

    private_bytes: int
    threads: int
    files: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """What a process holds now."""
        process = psutil.Process(pid)
        return cls(process.memory_full_info().uss, process.num_threads(), process.num_fds())


@contextmanager
def all_cores_busy():
    """One process per core that only computes."""
    command = [sys.executable, "-S", "-c", _BURN]
    burners = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def soak(hands: Hands, seconds: float) -> Found:
    """Kill one of the other workers every minute (in short runs more often), for `seconds` after the first one."""
    period_s = min(KILL_EVERY_S, seconds / SAMPLES)
    survivors = ("partition_manager", hands.workers[0])
    problems: list[str] = []
    kills = dict.fromkeys(hands.workers, 0)
    held: list[dict[str, Held]] = []
    shared: list[int] = []

    def take_sample() -> None:
        held.append({name: Held.by(hands.cluster.group.children[name].pid) for name in survivors})
        shared.append(bytes_in_use([child.pid for child in hands.cluster.group.children.values()]))

    with all_cores_busy():
        # What first failures bring with them is no growth: the survivor has had the largest plan there is, all of the
        # model, beside one with the others, and the plans of a few losses, which leave kernels and holes behind.
        problems += _kill_and_wait(hands, kills, *hands.workers[1:])
        for victim in FIRST_LOSSES * hands.workers[1:]:
            problems += _kill_and_wait(hands, kills, victim)
        hands.traffic.run_for(min(10.0, period_s / 4))
        take_sample()
        end = time.monotonic() + seconds
        while time.monotonic() < end and not problems:
            next_s = min(end, time.monotonic() + period_s)
            problems += _kill_and_wait(hands, kills, hands.rng.choice(hands.workers[1:]))
            hands.traffic.run_for(max(0.0, next_s - time.monotonic()))
            take_sample()
    first, last = held[0], held[-1]
    growth = {name: _growth([sample[name].private_bytes for sample in held]) for name in survivors}
    for name in survivors:
        if growth[name] > GROWTH_LIMIT:
            problems.append(f"{name} grew by {growth[name]:.1%}")
        if last[name].threads > first[name].threads or last[name].files > first[name].files:
            problems.append(f"{name} held {first[name]} and holds {last[name]}")
    if shared[-1] > shared[0] + SHARED_LIMIT_BYTES:
        problems.append(f"shared memory grew from {shared[0] / 1e6:.1f} to {shared[-1] / 1e6:.1f} MB")
    missed, renewed = _missed(hands), _renewed(hands)
    # Who starts itself anew is gone for a while, or back before it is missed.
    away = {name: missed[name] - kills[name] for name in hands.workers}
    if false_deaths := {name: count for name, count in away.items() if not 0 <= count <= renewed[name]}:
        problems.append(f"taken for dead more often than killed: {false_deaths}")
    return Found(
        None, None, tuple(problems),
        figures={
            "seconds": seconds, "kills": sum(kills.values()), "deaths_seen": sum(missed.values()),
            "started_anew": sum(renewed.values()),
            "memory_growth": {name: round(share, 4) for name, share in growth.items()},
            "memory_first_to_last": {
                name: round(last[name].private_bytes / first[name].private_bytes - 1, 4) for name in survivors
            },
            "shared_memory_mb": [round(size / 1e6, 1) for size in shared],
            "held": [{name: asdict(h) for name, h in sample.items()} for sample in held],
        },
    )  # fmt: skip


def _growth(sizes: list[int]) -> float:
    """How much more the most in the second half is than the most in the first, as a part of that.

    Of growth that is steady from the first sample to the last it shows half.
    """
    middle = max(1, len(sizes) // 2)
    return max(sizes[middle:], default=sizes[0]) / max(sizes[:middle]) - 1


def _kill_and_wait(hands: Hands, kills: dict[str, int], *victims: str) -> tuple[str, ...]:
    """Kill workers while a frame is on its way, start them again; until all are used."""
    found = hands.lose(hands.kill_in_flight(*victims), *victims, limit_s=LOSE_LIMIT_S)
    for victim in victims:
        kills[victim] += 1
    hands.start(*victims)
    return (*found.problems, *hands.rejoin(START_LIMIT_S))


def _missed(hands: Hands) -> dict[str, int]:
    """How often the manager has missed each worker."""
    log = hands.cluster.group.log_of("partition_manager").read_text(errors="replace")
    return {name: log.count(_GONE.format(name)) for name in hands.workers}


def _renewed(hands: Hands) -> dict[str, int]:
    """How often each worker has started itself anew, see `OwnPorts`."""
    logs = {name: hands.cluster.group.log_of(name).read_text(errors="replace") for name in hands.workers}
    return {name: log.count(f": {STARTS_ANEW}") for name, log in logs.items()}
