"""Every architecture, unmodified: equal to the whole, only heads run whole, and no way of going wrong stays unseen."""

import pytest
import torch
from support.architectures import ARCHITECTURE_NAMES, architecture_oracle, plan_of, random_plan
from support.mutations import MUTATIONS, border_treated_as_halo
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.loading import load_model
from coedge_ros.spec.graph import Kind

torch.set_num_threads(1)

# What may run whole: what stands between the pooled vector, or the sum of a first linear layer, and the scores.
HEADS = {"conv2d", "linear", "relu", "hardswish", "layer_norm", "permute", "reshape", "mul", "add"}

UNPADDED = {"mtcnn_pnet"}  # no layer pads: there is no border to take for a halo


@pytest.fixture(scope="module", params=ARCHITECTURE_NAMES)
def oracle(request) -> Oracle:
    return architecture_oracle(request.param, 231, 317)


def test_bands_are_the_whole_and_only_heads_run_whole(oracle, request):
    verdict = oracle.verify(random_plan(oracle, request.node.name))
    assert verdict.is_equal, f"{verdict.worst_output}; {verdict.worst_cut}"
    graph = oracle.model.graph
    assert {op.target for op in graph.operators[graph.trunk_length :]} <= HEADS
    assert not [op for op in graph.operators if op.kind is Kind.GATHER]  # what --strict refuses
    assert graph.trunk_macs >= 0.95 * graph.total_macs


def test_the_oracle_sees_every_mutation(oracle, request):
    plan = plan_of(oracle, [0.5, 0.3, 0.2], "layers")
    for mutation in MUTATIONS:
        verdict = mutation(oracle, plan, 3)
        harmless = mutation is border_treated_as_halo and request.node.callspec.params["oracle"] in UNPADDED
        assert verdict.is_equal == harmless, f"{mutation.__name__}: {verdict.worst_output}; {verdict.worst_cut}"


def test_multiply_accumulates_are_those_that_torch_counts(oracle):
    with FlopCounterMode(display=False) as counter, torch.no_grad(), FakeTensorMode(allow_non_fake_inputs=True):
        oracle.module(torch.empty(1, 3, *oracle.size))
    assert oracle.model.graph.total_macs == counter.get_total_flops() // 2


@pytest.mark.parametrize("name", ["efficientnet_lite0", "mobilenet_v2"])
def test_trained_weights_are_equal_too(name):
    loaded = load_model(name, weights="imagenet")
    oracle = Oracle(loaded.module, 231, 317, loaded.mean, loaded.std, strict=True)
    verdict = oracle.verify(random_plan(oracle, name))
    assert verdict.is_equal, f"{verdict.worst_output}; {verdict.worst_cut}"
