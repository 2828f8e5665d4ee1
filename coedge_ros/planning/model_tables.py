"""What planning needs of a model whatever the cluster: made once per model, reused when speeds or links change."""

from __future__ import annotations

import weakref
from itertools import pairwise

from coedge_ros.planning.intervals import IntervalGraph
from coedge_ros.planning.layer_costs import LayerCosts, layer_costs
from coedge_ros.planning.stage_ends import stage_ends
from coedge_ros.planning.stage_rows import StageRows, stages_ending
from coedge_ros.planning.stages import Stages
from coedge_ros.spec.cuts import forced_cuts, layer_cuts
from coedge_ros.spec.graph import ModelGraph


class ModelTables:
    """Tables of one model, filled as they are asked for."""

    def __init__(self, graph: ModelGraph):
        # a weak reference, so that the cache does not keep the model
        self._graph = weakref.ref(graph)
        self.intervals = IntervalGraph(graph)
        self.forced_cuts = forced_cuts(graph)
        self.layer_cuts = layer_cuts(graph)
        self.stage_ends = stage_ends(graph)
        self._usual_starts, self._usual_ends = {-1, *self.stage_ends}, {*self.stage_ends, graph.trunk_length - 1}
        self._rows: dict[tuple[int, int], StageRows] = {}
        self._stages: dict[tuple[int, ...], Stages] = {}
        self._layer_costs: dict[tuple[int, ...], LayerCosts] = {}

    @property
    def graph(self) -> ModelGraph:
        """The model."""
        graph = self._graph()
        assert graph is not None
        return graph

    def stages(self, cuts: tuple[int, ...]) -> Stages:
        """Stages of these cuts."""
        if cuts not in self._stages:
            if len(self._stages) > 256:
                self._stages.clear()
            ends = (-1, *cuts, self.graph.trunk_length - 1)
            rows = [self.stage_rows(start, end) for start, end in pairwise(ends)]
            self._stages[cuts] = Stages(self.graph, cuts, rows)
        return self._stages[cuts]

    def stage_rows(self, start: int, end: int) -> StageRows:
        """Rows of the stage of operators `(start, end]`; start -1 is the frame."""
        if (start, end) not in self._rows:
            if len(self._rows) > 2048:
                self._rows.clear()
            starts = {start}
            if start in self._usual_starts and end in self._usual_ends:
                last_forced = max((cut for cut in self.forced_cuts if cut < end), default=-1)
                starts |= {usual for usual in self._usual_starts if last_forced <= usual < end}
            found = stages_ending(self.graph, self.intervals, end, starts)
            self._rows |= {(begin, end): rows for begin, rows in found.items()}
        return self._rows[start, end]

    def layer_costs(self, cuts: tuple[int, ...]) -> LayerCosts:
        """What CoEdge's program knows of these cuts."""
        if cuts not in self._layer_costs:
            if len(self._layer_costs) > 64:
                self._layer_costs.clear()
            self._layer_costs[cuts] = layer_costs(self.graph, cuts)
        return self._layer_costs[cuts]


_CACHE: dict[int, ModelTables] = {}


def tables_of(graph: ModelGraph) -> ModelTables:
    """Tables of a model; the same ones for as long as the graph lives."""
    tables = _CACHE.get(id(graph))
    if tables is None:
        tables = _CACHE[id(graph)] = ModelTables(graph)
        weakref.finalize(graph, _CACHE.pop, id(graph), None)
    return tables
