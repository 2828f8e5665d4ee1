"""The six models of the first demo: exact however they are split, and the oracle sees each way of going wrong."""

import pytest
import torch
from support.mutations import MUTATIONS
from support.oracles import zoo_oracle

from coedge_ros.spec.cuts import forced_cuts, layer_cuts
from coedge_ros.spec.plan import plan_from_shares

torch.set_num_threads(1)

MODELS = ("alexnet", "vgg_f", "googlenet", "mobilenet_v1", "mobilenet_v2", "resnet18")
SHARES = {
    "one": [1],
    "two equal": [1, 1],
    "three unequal": [0.5, 0.3, 0.2],
    "very unequal": [0.9, 0.02, 0.08],
    "four, one without rows": [0.4, 0, 0.35, 0.25],
    "the last without rows": [0.5, 0.5, 0],
    "five equal": [1] * 5,
}


def _plan(oracle, shares, cuts=layer_cuts):
    graph = oracle.model.graph
    return plan_from_shares(graph, tuple(f"worker_{i}" for i in range(len(shares))), shares, cuts(graph))


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("model", MODELS)
def test_outputs_and_tensors_at_cuts_are_the_whole_models_at_layer_cuts(model, shares):
    oracle = zoo_oracle(model)
    plan = _plan(oracle, shares)
    verdict = oracle.verify(plan)
    assert verdict.is_equal, f"{verdict.worst_output}; {verdict.worst_cut}"
    assert len(verdict.cuts) >= plan.stages
    idle = [plan.workers[i] for i, share in enumerate(shares) if share == 0]
    assert not any(u.macs for u in verdict.usage if u.worker in idle)


@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_the_whole_models_in_a_single_stage(model):
    oracle = zoo_oracle(model)
    verdict = oracle.verify(_plan(oracle, [0.5, 0.3, 0.2], forced_cuts))
    assert verdict.is_equal, f"{verdict.worst_output}; {verdict.worst_cut}"


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.__name__)
@pytest.mark.parametrize("model", MODELS)
def test_the_oracle_sees(mutation, model):
    oracle = zoo_oracle(model)
    plan = _plan(oracle, [0.5, 0.3, 0.2])
    for seed in (0, 7, 101):
        verdict = mutation(oracle, plan, seed)
        assert not verdict.is_equal, f"seed {seed}: {verdict.worst_output}; {verdict.worst_cut}"
        # The answer alone shows it too: with rescaled weights nothing fades away on the way to it.
        assert not all(c.is_equal for c in verdict.outputs), f"seed {seed}: {verdict.worst_output}"
