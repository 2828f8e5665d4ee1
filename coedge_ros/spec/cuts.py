"""Where a model may, must and usually does end a stage."""

from __future__ import annotations

from collections.abc import Iterable

from coedge_ros.rows.access import is_halo_free
from coedge_ros.spec.graph import Kind, ModelGraph


def forced_cuts(graph: ModelGraph) -> tuple[int, ...]:
    """Cuts that every plan has: a REDUCE must be exchanged before something reads its combined result."""
    cuts: list[int] = []
    pending: set[str] = set()
    for i, op in enumerate(graph.operators[: graph.trunk_length]):
        if any(operand.tensor in pending for operand in op.operands):
            cuts.append(i - 1)
            pending.clear()
        if op.kind is Kind.REDUCE:
            pending.add(op.name)
    return tuple(cuts)


def layer_cuts(graph: ModelGraph) -> tuple[int, ...]:
    """Cuts of CoEdge: one before each operator that reads halo rows of something computed in the same stage.

    None before the first layer: the manager scatters the frame with its overlap as pixels, a quarter of the bytes of
    the normalised rows that workers would otherwise exchange, and normalising them twice costs next to nothing.
    """
    cuts = set(forced_cuts(graph))
    pixels = _pointwise_on_pixels(graph)
    last = -1
    for i, op in enumerate(graph.operators[: graph.trunk_length]):
        if i - 1 in cuts:
            last = i - 1
        for operand in op.operands:
            produced = graph.index[operand.tensor]
            height = graph.tensor(operand.tensor).height
            reads_halo = op.kind is not Kind.REDUCE and operand.access is not None and operand.tensor not in pixels
            if reads_halo and produced > last and not is_halo_free(operand.access, height):
                cuts.add(i - 1)
                last = i - 1
    return tuple(sorted(cuts))


def _pointwise_on_pixels(graph: ModelGraph) -> set[str]:
    """Tensors that come of the frame by point-wise operators without multiplications of channels."""
    found = {graph.input.name}
    for op in graph.operators[: graph.trunk_length]:
        if op.kind is Kind.POINTWISE and not op.macs and all(o.tensor in found for o in op.operands):
            found.add(op.name)
    return found


def legal_cuts(graph: ModelGraph) -> tuple[int, ...]:
    """All places where a stage may end: after any trunk operator but the last."""
    return tuple(range(graph.trunk_length - 1))


def with_forced(graph: ModelGraph, cuts: Iterable[int]) -> tuple[int, ...]:
    """`cuts` and the forced ones, ascending.

    Raises
    ------
    ValueError
        For a cut that is not one of the legal ones.
    """
    legal = set(legal_cuts(graph))
    wanted = set(cuts)
    if bad := sorted(wanted - legal):
        raise ValueError(
            f"cuts {bad} are not in [0, {len(legal)}): a cut is the index of a trunk operator but the last"
        )
    return tuple(sorted(wanted | set(forced_cuts(graph))))
