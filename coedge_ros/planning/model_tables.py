"""What planning needs of a model whatever the cluster: made once per model, reused when speeds or links change."""

from __future__ import annotations

import weakref

from coedge_ros.planning.batch import Stages
from coedge_ros.planning.intervals import IntervalGraph
from coedge_ros.planning.layer_costs import LayerCosts, layer_costs
from coedge_ros.planning.stage_ends import stage_ends
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
            self._stages[cuts] = Stages(self.graph, cuts)
        return self._stages[cuts]

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
