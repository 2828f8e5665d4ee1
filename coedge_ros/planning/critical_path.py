"""What a plan's latency consists of: the chain of computing and sending that ends with the last message."""

from __future__ import annotations

from dataclasses import dataclass

from coedge_ros.planning.simulation import simulate
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import PartitionPlan
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import MANAGER, Schedule, TransferKind

_MEANING = {
    TransferKind.SCATTER: "rows of the frame", TransferKind.HALO: "rows", TransferKind.REDUCE: "partial results",
    TransferKind.GATHER: "rows for the head", TransferKind.RESULT: "the result", TransferKind.REPORT: "its report",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Link:
    """One link of the chain: from `start_s` to `end_s`."""

    text: str
    start_s: float
    end_s: float

    def __str__(self) -> str:
        return f"{(self.end_s - self.start_s) * 1e3:.1f} ms {self.text}"


def critical_path(schedule: Schedule, profile: Profile) -> tuple[Link, ...]:
    """The chain of a plan, first link first; from the simulation without noise."""
    done = simulate(schedule, profile)
    names = schedule.plan.workers
    last = max(
        (t for t in schedule.transfers if t.target == MANAGER),
        key=lambda t: (done.delivered_s[t.index], t.kind is TransferKind.RESULT),
    )
    links: list[Link] = []
    transfer = last
    while True:
        made = done.stages_s.get((transfer.source, transfer.sent_after), (0.0, 0.0))[1]
        arrived = done.delivered_s[transfer.index]
        who = "the manager" if transfer.source == MANAGER else names[transfer.source]
        to = "the manager" if transfer.target == MANAGER else names[transfer.target]
        text = f"{who} sends {_MEANING[transfer.kind]} to {to}"
        links.append(Link(text, made if transfer.source != MANAGER else 0.0, arrived))
        if transfer.source == MANAGER:
            return tuple(links[::-1])
        worker, stage, end = transfer.source, transfer.sent_after, made
        first = stage
        while True:
            start = done.stages_s[worker, first][0]
            waited = [schedule.transfers[i] for i in schedule.work[worker][first].receives]
            latest = max(waited, key=lambda t: done.delivered_s[t.index], default=None)
            before = done.stages_s[worker, first - 1][1] if first else 0.0
            if latest is not None and (done.delivered_s[latest.index] >= before - 1e-12 or not first):
                break
            if not first:
                return tuple(links[::-1])
            first -= 1
        if end > start:
            links.append(Link(f"{names[worker]} computes {_stages(first, stage, schedule.plan)}", start, end))
        transfer = latest


def _stages(first: int, last: int, plan: PartitionPlan) -> str:
    names = ["the head" if s == plan.stages else str(s + 1) for s in (first, last)]
    if first == last:
        return names[0] if last == plan.stages else f"stage {names[0]}"
    return f"stages {names[0]} to {names[1]}" if last < plan.stages else f"stage {names[0]} to the head"


def path_of(plan: PartitionPlan, graph, profile: Profile) -> tuple[str, ...]:
    """The chain as text."""
    return tuple(str(link) for link in critical_path(derive_schedule(graph, plan), profile))
