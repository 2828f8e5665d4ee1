"""Whatever is built of the supported operators, bands answer what the whole answers."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, note, settings
from hypothesis import strategies as st
from support.random_graphs import plans, rounding, sources

from coedge_ros.errors import ModelError
from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.rescale import rescale_to_unit_variance
from coedge_ros.spec.graph import Kind

torch.set_num_threads(1)

# What cannot be split by rows, and is in these graphs on purpose.
_HEADS = {"reshape", "linear"}


def _oracle(module, source) -> Oracle | None:
    """The oracle; None for a model without a convolution that any output depends on."""
    try:
        return Oracle(module, source.height, source.width)
    except ModelError as error:
        if "no convolution" in str(error) and "needs the whole map" not in str(error):
            return None
        raise


def _check(source, data):
    note(f"\n{source}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = source.build()
        rescale_to_unit_variance(module, torch.randn(1, 3, source.height, source.width))
    oracle = _oracle(module, source)
    assume(oracle is not None and rounding(oracle) < 2e-5)
    graph = oracle.model.graph
    plan = data.draw(plans(graph))
    note(f"{plan}\ncuts {plan.cuts}\nboundaries {plan.boundaries}")
    verdict = oracle.verify(plan)
    note(f"{verdict.worst_output}; {verdict.worst_cut}")
    assert verdict.is_equal
    gathered = {op.target for op in graph.operators if op.kind is Kind.GATHER}
    assert gathered <= _HEADS, gathered


def _run(count: int, steps: int, **options) -> None:
    """Check `count` graphs; what hypothesis leaves out, because it says nothing about bands, does not count."""
    checked = []

    @settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), **options)
    @given(sources(steps=steps), st.data())
    def check(source, data):
        _check(source, data)
        checked.append(source)

    check()
    assert len(checked) >= count


@pytest.mark.timeout(900)
def test_300_random_graphs_are_equal():
    _run(300, 12, derandomize=True)


@pytest.mark.full
@pytest.mark.timeout(7200)
def test_3000_larger_random_graphs_are_equal():
    _run(3000, 16)
