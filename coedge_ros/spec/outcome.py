"""What a planner answers: a plan, what it is expected to cost, and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from coedge_ros.spec.plan import PartitionPlan


class Status(str, Enum):
    """How far a plan is what was asked for."""

    OPTIMAL = "optimal"  # meets the deadline; the best that the planner's own formulation knows
    FEASIBLE = "feasible"  # meets the deadline; not shown to be the best
    INFEASIBLE = "infeasible"  # nothing found that meets the deadline or a limit; `plan` comes closest
    INVALID = "invalid"  # there is nothing to plan: `explanation` says what to change

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class WorkerPrediction:
    """What one worker is expected to do for one frame; `rows` counts rows of the first stage at the frame's scale."""

    name: str
    rows: int
    macs: int
    compute_s: float
    wait_s: float
    transmit_s: float
    bytes_in: int
    bytes_out: int
    energy_j: float
    idle_j: float
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one frame is expected to cost.

    Attributes
    ----------
    latency_s : float
        From the frame at the manager to its result there.
    period_s : float
        Time per frame when frames follow each other closely: that of the busiest processor or link.
    energy_j, energy_with_idle_j : float
        Energy of computing and sending; and with what participants draw while they wait.
    wire_bytes, messages : int
        Everything that is sent, the manager's part included.
    stage_compute_s : tuple of tuple of float
        Per stage (the head is the last) and worker.
    critical_path : tuple of str
        What the latency consists of, in order; empty where it was not traced.
    """

    latency_s: float
    period_s: float
    energy_j: float
    energy_with_idle_j: float
    wire_bytes: int
    messages: int
    workers: tuple[WorkerPrediction, ...]
    stage_compute_s: tuple[tuple[float, ...], ...] = ()
    critical_path: tuple[str, ...] = ()
    violations: tuple[str, ...] = ()

    def worker(self, name: str) -> WorkerPrediction:
        """Prediction of a worker by name (KeyError when there is none)."""
        for worker in self.workers:
            if worker.name == name:
                return worker
        raise KeyError(name)

    @property
    def macs_share(self) -> dict[str, float]:
        """Fraction of all executed multiply-accumulates per worker."""
        total = sum(worker.macs for worker in self.workers) or 1
        return {worker.name: worker.macs / total for worker in self.workers}

    def __str__(self) -> str:
        return (
            f"{self.latency_s * 1e3:.1f} ms, {self.energy_j:.3f} J ({self.energy_with_idle_j:.3f} J with idle power), "
            f"{self.wire_bytes / 1e3:.0f} kB in {self.messages} messages"
        )


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """A planner's answer.

    Attributes
    ----------
    plan, predicted
        None only for `Status.INVALID`. For `Status.INFEASIBLE` the plan that comes closest.
    explanation : str
        One paragraph for people: why these rows, why (not) split.
    best_latency_s : float or None
        For `Status.INFEASIBLE`: the best latency that the planner can reach.
    binding : str
        For `Status.INFEASIBLE`: the constraint that is in the way.
    notes : tuple of str
        Why a worker got nothing, what the runner-up costs, the planner's assumptions.
    """

    planner: str
    objective: str
    deadline_s: float | None
    status: Status
    plan: PartitionPlan | None
    predicted: Prediction | None
    explanation: str
    best_latency_s: float | None = None
    binding: str = ""
    notes: tuple[str, ...] = field(default=())

    @property
    def is_feasible(self) -> bool:
        """Whether the plan meets the deadline and all limits."""
        return self.status in (Status.OPTIMAL, Status.FEASIBLE)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **{key: getattr(self, key) for key in ("planner", "objective", "deadline_s", "best_latency_s", "binding")},
            "status": self.status.value,
            "explanation": self.explanation,
            "notes": list(self.notes),
            "plan": self.plan.as_dict() if self.plan else None,
            "predicted": asdict(self.predicted) if self.predicted else None,
        }

    def __str__(self) -> str:
        return f"{self.planner}: {self.status}: {self.predicted or self.explanation}"
