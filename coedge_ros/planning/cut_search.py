"""Choice of cuts and patterns by dynamic programming over the stages, for many prices of a second at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from coedge_ros.planning.evaluator import Evaluator
from coedge_ros.planning.stage_costs import StageCosts
from coedge_ros.rows.split import split_by_shares
from coedge_ros.spec.plan import PartitionPlan

EPSILON_S = 1e-7  # per stage, so that cuts that change nothing are left out


@dataclass(frozen=True, slots=True)
class Found:
    """A plan and what the stage costs say of it."""

    plan: PartitionPlan
    seconds: float
    joules: float


class CutSearch:
    """Cheapest continuations from every possible end of a stage, for a row of prices.

    The cost is `weight * joules + price * seconds`; under each pattern the price also contains what its workers draw
    while they wait (`idle_w`, shape (K,)), when that counts.
    """

    def __init__(self, costs: StageCosts, evaluator: Evaluator, prices: np.ndarray, weight: float = 1.0, idle_w=0.0):
        self.costs, self.evaluator, self.prices, self.weight = costs, evaluator, prices, weight
        self.idle_w = np.zeros(len(costs.patterns)) + idle_w
        self._onward()

    def _value(self, stage) -> np.ndarray:
        price = self.prices[:, None, None] + self.idle_w
        return self.weight * stage.joules + price * (stage.seconds + EPSILON_S)

    def _onward(self) -> None:
        """From the last stage back: `best[end][price, pattern]` and which stage and pattern come next."""
        costs, count, k = self.costs, len(self.costs.ends), len(self.costs.patterns)
        head = self.weight * costs.head.joules + self.prices[:, None, None] * costs.head.seconds
        self.best = np.full((count, len(self.prices), k), np.inf)
        self.best[-1] = head.min(axis=2)
        self.heads = head.argmin(axis=2)
        self.next_end = np.zeros((count, len(self.prices), k), dtype=np.int64)
        self.next_pattern = np.zeros((count, len(self.prices), k), dtype=np.int64)
        for start in reversed(range(count - 1)):
            for end in range(start + 1, count):
                stage = costs.stages.get((start, end))
                if stage is None:
                    continue
                value = self._value(stage) + self.best[end][:, None, :]
                then = value.argmin(axis=2)
                value = np.take_along_axis(value, then[:, :, None], 2)[:, :, 0]
                better = value < self.best[start]
                self.best[start] = np.where(better, value, self.best[start])
                self.next_end[start] = np.where(better, end, self.next_end[start])
                self.next_pattern[start] = np.where(better, then, self.next_pattern[start])

    def plans(self, per_price: int, within: float = 0.25) -> list[Found]:
        """The cheapest plans of each price that differ in their first stage, no more than `within` above the best."""
        costs = self.costs
        firsts = [(end, stage) for (start, end), stage in costs.stages.items() if start < 0]
        totals = np.stack([(self._value(stage)[:, 0] + self.best[end]) for end, stage in firsts], axis=1)
        found: dict[PartitionPlan, Found] = {}
        for p in range(len(self.prices)):
            flat = totals[p].ravel()
            order = np.argsort(flat, kind="stable")[:per_price]
            for index in order:
                if flat[index] > flat[order[0]] * (1 + within) or not np.isfinite(flat[index]):
                    break
                first, pattern = divmod(int(index), len(costs.patterns))
                item = self._follow(p, firsts[first][0], pattern)
                found.setdefault(item.plan, item)
        return list(found.values())

    def _follow(self, p: int, end: int, pattern: int) -> Found:
        costs = self.costs
        first = costs.stages[-1, end]
        seconds, joules = float(first.seconds[0, pattern]), float(first.joules[0, pattern])
        steps = [(end, pattern)]
        while end < len(costs.ends) - 1:
            then = int(self.next_end[end, p, pattern]), int(self.next_pattern[end, p, pattern])
            stage = costs.stages[end, then[0]]
            seconds += float(stage.seconds[pattern, then[1]])
            joules += float(stage.joules[pattern, then[1]])
            end, pattern = then
            steps.append(then)
        head = int(self.heads[p, pattern])
        seconds += float(costs.head.seconds[pattern, head])
        return Found(self._plan(steps, head), seconds, joules + float(costs.head.joules[pattern, head]))

    def _plan(self, steps: list[tuple[int, int]], head: int) -> PartitionPlan:
        costs = self.costs
        forced = set(costs.tables.forced_cuts)
        kept = []
        for (end, pattern), after in zip(steps, [*steps[1:], None], strict=True):
            alone = np.count_nonzero(costs.patterns[pattern]) == 1
            merges = after is not None and after[1] == pattern and alone and costs.ends[end] not in forced
            if not merges:
                kept.append((end, pattern))
        cuts = tuple(costs.ends[end] for end, _ in kept[:-1])
        heights = costs.tables.stages(cuts).heights
        bounds = [split_by_shares(h, list(costs.patterns[k])) for h, (_, k) in zip(heights, kept, strict=True)]
        return self.evaluator.plan(cuts, bounds, head)
