"""What of a model runs whole, in words: for notices, `--strict`, and models that are not worth splitting."""

from __future__ import annotations

from coedge_ros.errors import ModelError
from coedge_ros.spec.graph import Kind, ModelGraph, Operator

LEAST_BANDED = 0.5  # of the multiply-accumulates: below, one worker does most of the work whatever the plan


def gathered(graph: ModelGraph) -> tuple[Operator, ...]:
    """Operators that need a whole map of the bands; a pooled head needs none, its pooling is combined."""
    return tuple(op for op in graph.operators if op.kind is Kind.GATHER)


def named(op: Operator) -> str:
    """An operator and its module."""
    return f"{op.target} at {op.module_path or 'the top'}"


def refuse_gathered(graph: ModelGraph) -> None:
    """What `--strict` does.

    Raises
    ------
    ModelError
        Naming the operators that need a whole map.
    """
    if found := gathered(graph):
        names = ", ".join(map(named, found[:3])) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
        raise ModelError(
            f"refused by --strict: {names} would run whole on one worker, because no row rule covers it; leave it out "
            "of the model, or leave --strict out"
        )


def refuse_mostly_whole(graph: ModelGraph) -> None:
    """Refuse a model that is not worth splitting.

    Raises
    ------
    ModelError
        When less than half of the multiply-accumulates can run in bands, naming what is in the way.
    """
    banded = graph.trunk_macs / graph.total_macs if graph.total_macs else 1.0
    found = gathered(graph)
    if banded < LEAST_BANDED and found:
        raise ModelError(
            f"only {100 * banded:.0f} % of the multiply-accumulates can run in bands: {named(found[0])} needs the whole"
            " map, and what reads it runs on one worker; run this model whole, or name the convolutional part of it"
        )
