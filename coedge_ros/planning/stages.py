"""What follows from a model's cuts alone, whatever the plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from coedge_ros.planning.stage_rows import StageRows
from coedge_ros.spec.graph import ModelGraph
from coedge_ros.spec.plan import reference_heights


class Stages:
    """What follows from a model's cuts alone: which operator runs in which stage, and what is alive after it."""

    def __init__(self, graph: ModelGraph, cuts: tuple[int, ...], rows: Sequence[StageRows]):
        self.cuts, self.rows = cuts, tuple(rows)
        self.heights = reference_heights(graph, cuts)
        self.count = len(cuts) + 1
        trunk = graph.trunk_length
        ends = np.searchsorted(np.array(cuts), np.arange(trunk), side="left")
        self.of = {op.name: int(s) for op, s in zip(graph.operators, ends, strict=False)}
        self.of |= {op.name: self.count for op in graph.operators[trunk:]}
        self.of[graph.input.name] = -1
        self.members: list[list[int]] = [[] for _ in range(self.count + 1)]
        for i, op in enumerate(graph.operators):
            self.members[self.of[op.name]].append(i)
        self.alive = {
            name
            for name, users in graph.consumers.items()
            if name in graph.outputs or any(self.of[graph.operators[u].name] > self.of[name] for u in users)
        }
