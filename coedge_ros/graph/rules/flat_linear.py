"""Row rule of a linear layer over a flattened map: row h of the map makes row h of the products."""

from __future__ import annotations

from coedge_ros.graph.flat_linear import LINEAR_BY_ROW
from coedge_ros.graph.rules.pointwise import only
from coedge_ros.graph.rules.registry import Lowered, chain, per_range, rule, take
from coedge_ros.rows.access import Same
from coedge_ros.rows.row_set import RowRange
from coedge_ros.spec.graph import Kind, Operand


@rule("coedge.linear_by_row")
def _linear_by_row(node, values):
    """Each band has its own part of the weights."""
    if only(values).spec.row_axis != 2:
        return None
    ((name, _),) = values.items()

    def build(rows, held):
        def one(r: RowRange):
            weight = node.args[1][r.start : r.stop]
            return chain(take(held[0], r, 2), lambda x: LINEAR_BY_ROW(x, weight))

        return per_range(rows, 2, one)

    return Lowered(Kind.POINTWISE, 2, (Operand(name, Same()),), build)
