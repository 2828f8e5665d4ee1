"""Where stages may end in the search: a few good places instead of all legal ones."""

from __future__ import annotations

from coedge_ros.rows.access import is_halo_free
from coedge_ros.spec.cuts import forced_cuts, layer_cuts
from coedge_ros.spec.graph import Kind, ModelGraph

MOST_ENDS = 18


def stage_ends(graph: ModelGraph, limit: int = MOST_ENDS) -> tuple[int, ...]:
    """Forced cuts; between any two operators that read halo rows the place where least is alive; then CoEdge's cuts.

    Places with several maps alive (inside a residual or a concatenation) are only taken from CoEdge's cuts, when there
    is room below `limit`. Of too many places every second one is left out.
    """
    forced = set(forced_cuts(graph))
    best: list[tuple[int, int]] = []  # (bytes, place) of each run of places without halo operators between them
    run: list[tuple[int, int]] = []
    for place, alive in enumerate(_alive(graph)):
        if place and _reads_halo(graph, place) and run:
            best.append(min(run, key=lambda item: (item[0], -item[1])))
            run = []
        if len(alive) == 1:
            run.append((graph.tensor(alive[0]).total_bytes, place))
    best += [min(run, key=lambda item: (item[0], -item[1]))] if run else []
    started = _first_work(graph)
    narrow = [place for _, place in best if place >= started]
    extra = [cut for cut in layer_cuts(graph) if cut not in narrow and cut not in forced]
    room = max(0, limit - len(forced) - len(narrow))
    chosen = narrow + _evenly(extra, room)
    return tuple(sorted(forced | set(_evenly(sorted(chosen), max(2, limit - len(forced))))))


def _alive(graph: ModelGraph) -> list[list[str]]:
    """Tensors with rows that are still read after each trunk operator but the last."""
    last_use = {name: max(users, default=-1) for name, users in graph.consumers.items()}
    for name in graph.outputs:
        last_use[name] = len(graph.operators)
    alive: list[list[str]] = []
    current: list[str] = [graph.input.name]
    for place, op in enumerate(graph.operators[: graph.trunk_length - 1]):
        current = [name for name in (*current, op.name) if last_use[name] > place and graph.tensor(name).height]
        alive.append(current)
    return alive


def _reads_halo(graph: ModelGraph, operator: int) -> bool:
    op = graph.operators[operator]
    return op.kind is not Kind.REDUCE and any(
        o.access is not None and not is_halo_free(o.access, graph.tensor(o.tensor).height) for o in op.operands
    )


def _first_work(graph: ModelGraph) -> int:
    return next((i for i, op in enumerate(graph.operators) if op.macs), 0)


def _evenly(items: list[int], count: int) -> list[int]:
    """`count` of the items, spread over the list."""
    if len(items) <= count:
        return items
    return [items[(2 * i + 1) * len(items) // (2 * count)] for i in range(count)]
