"""What is asked of a planner, and how its candidates are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coedge_ros.errors import UserError
from coedge_ros.planning.cost import TOLERANCE
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.evaluator import Evaluator, Figures
from coedge_ros.planning.model_tables import ModelTables, tables_of
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.outcome import PlanOutcome, Prediction, Status
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares
from coedge_ros.spec.profile import Profile

OBJECTIVES = ("energy", "latency", "throughput")


@dataclass(frozen=True)
class PlanRequest:
    """What is asked of a planner.

    Attributes
    ----------
    planner : str
        A name of `registry.PLANNERS`.
    objective : str
        `energy` (least energy within the deadline), `latency`, or `throughput` (shortest time per frame of the busiest
        part).
    deadline_s : float or None
        Latency deadline; it holds for every objective.
    count_idle : bool
        Whether the energy objective contains what participants draw while they wait.
    manual_rows : tuple of int
        For the planner `manual`: rows of the frame per worker, in the cluster's order.
    cuts : tuple of int or None
        For `manual`: where stages end; None for one layer a stage.
    head : str
        For `manual`: worker of the head; "" for the one with most rows.
    codec : Codec
        Coarsest codec that rows between workers may travel in; used on links where it pays, for `manual` on all.
    """

    graph: ModelGraph
    profile: Profile
    planner: str = "fused"
    objective: str = "energy"
    deadline_s: float | None = None
    count_idle: bool = False
    manual_rows: tuple[int, ...] = ()
    cuts: tuple[int, ...] | None = None
    head: str = ""
    codec: Codec = Codec.RAW

    @cached_property
    def devices(self) -> Devices:
        """The profile as arrays."""
        return Devices(self.graph, self.profile, self.codec, codec_everywhere=self.planner == "manual")

    @cached_property
    def evaluator(self) -> Evaluator:
        """The cost model for this request."""
        return Evaluator(self.devices)

    @property
    def tables(self) -> ModelTables:
        """What planning needs of the model, made once."""
        return tables_of(self.graph)

    def check(self) -> None:
        """Raise UserError for what no planner can answer."""
        if self.objective not in OBJECTIVES:
            raise UserError(f"objective {self.objective!r} is none of {', '.join(OBJECTIVES)}")
        if self.deadline_s is not None and not self.deadline_s > 0:
            raise UserError(f"deadline_s is {self.deadline_s:g}: it must be above 0, or left out for no deadline")
        if self.graph.trunk_length == 0:
            raise UserError(
                "this model has no trunk: no operator of it can be split by rows, so there is nothing to plan"
            )
        _ = self.devices

    # -- comparing ----------------------------------------------------------------------------------------------------

    def scores(self, figures: Figures) -> np.ndarray:
        """One number per plan of a batch, smaller is better: the objective, or above all objectives what is missed."""
        value = {
            "latency": figures.latency_s,
            "throughput": figures.period_s,
            "energy": figures.energy_with_idle_j if self.count_idle else figures.energy_j,
        }[self.objective]
        missed = figures.excess.copy()
        if self.deadline_s is not None:
            missed = missed + np.maximum(figures.latency_s / self.deadline_s - 1 - TOLERANCE, 0.0)
        # equal objectives: the faster plan, by a part that no tolerance sees
        return np.where(missed > 0, 1e9 * (1 + missed), value) * (1 + 1e-9 * np.minimum(figures.latency_s, 1e6))

    def value(self, predicted: Prediction) -> float:
        """Objective of one plan."""
        if self.objective == "latency":
            return predicted.latency_s
        if self.objective == "throughput":
            return predicted.period_s
        return predicted.energy_with_idle_j if self.count_idle else predicted.energy_j

    def misses_deadline(self, latency_s: float) -> bool:
        """Whether a latency is above the deadline."""
        return self.deadline_s is not None and latency_s > self.deadline_s * (1 + TOLERANCE)

    def rank(self, predicted: Prediction) -> tuple[float, float, float]:
        """Sort key: what meets deadline and limits first, then the objective; without any, what is nearest to it."""
        late = self.misses_deadline(predicted.latency_s)
        broken = len(predicted.violations)
        if broken or late:
            return (1.0 + broken, predicted.latency_s, predicted.energy_j)
        return (0.0, self.value(predicted), predicted.latency_s)

    # -- answering ----------------------------------------------------------------------------------------------------

    def single_worker(self, worker: str) -> PartitionPlan:
        """The plan with the whole model on one worker."""
        names = self.devices.names
        shares = [float(name == worker) for name in names]
        return plan_from_shares(self.graph, names, shares, self.tables.forced_cuts, head=worker)

    def best_of(self, plans: Sequence[PartitionPlan]) -> tuple[PartitionPlan, Prediction]:
        """Evaluate plans and return the best."""
        plan = plans[int(self.scores(self.evaluator.figures_of(plans)).argmin())]
        return plan, self.evaluator.predict(plan)

    def answer(
        self,
        planner: str,
        plan: PartitionPlan,
        predicted: Prediction,
        why: str,
        *,
        proven: bool,
        notes: Sequence[str] = (),
    ) -> PlanOutcome:
        """Outcome for a plan that was re-evaluated as it will be executed, after rounding."""
        status, binding, best = Status.OPTIMAL if proven else Status.FEASIBLE, "", None
        if predicted.violations:
            status, binding = Status.INFEASIBLE, "; ".join(predicted.violations)
        elif self.misses_deadline(predicted.latency_s):
            status, best = Status.INFEASIBLE, predicted.latency_s
            binding = f"the deadline of {self.deadline_s * 1e3:.1f} ms; the best latency found is {best * 1e3:.1f} ms"
            binding += f" ({best / self.deadline_s - 1:.2g} of it more)" if best < 1.01 * self.deadline_s else ""
        return PlanOutcome(
            planner, self.objective, self.deadline_s, status, plan, predicted, why, best, binding, tuple(notes)
        )
