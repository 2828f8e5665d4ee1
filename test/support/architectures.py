"""All architectures that must run in bands by name: the zoo's and those of test/architectures; and plans for them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from architectures.table import ARCHITECTURES
from support.oracles import oracle_of, zoo_oracle, zoo_size

from coedge_ros.execution.verification import Oracle
from coedge_ros.graph.zoo.registry import zoo_names
from coedge_ros.spec.cuts import forced_cuts, layer_cuts, legal_cuts, with_forced
from coedge_ros.spec.plan import PartitionPlan, plan_from_shares

SHARES = {"0.5, 0.3, 0.2": [0.5, 0.3, 0.2], "five equal": [1] * 5, "one without rows": [0.6, 0, 0.4]}
CUTS = ("layers", "forced", "random")
_FURTHER = {architecture.name: architecture for architecture in ARCHITECTURES}
ARCHITECTURE_NAMES = (*zoo_names(), *_FURTHER)


def architecture_size(name: str, height: int, width: int) -> tuple[int, int]:
    """The size that it takes, near the one asked for."""
    return _FURTHER[name].size(height, width) if name in _FURTHER else zoo_size(name, height, width)


def architecture_oracle(name: str, height: int, width: int) -> Oracle:
    """The oracle of an architecture with rescaled weights, at the size near the one asked for."""
    if name not in _FURTHER:
        return zoo_oracle(name, height, width)
    return oracle_of(name, _FURTHER[name].factory, *architecture_size(name, height, width))


def plan_of(oracle: Oracle, shares: Sequence[float], cuts: str, seed: object = 0) -> PartitionPlan:
    """A plan with the same shares in every stage; `cuts` is one of `CUTS`."""
    graph, choice = oracle.model.graph, random.Random(seed)
    legal = legal_cuts(graph)
    chosen = {
        "layers": layer_cuts(graph),
        "forced": forced_cuts(graph),
        "random": with_forced(graph, choice.sample(legal, min(len(legal), choice.randint(1, 8)))),
    }[cuts]
    return plan_from_shares(graph, tuple(f"worker_{i}" for i in range(len(shares))), list(shares), chosen)


def random_plan(oracle: Oracle, seed: object) -> PartitionPlan:
    """One random choice of shares and cuts."""
    choice = random.Random(seed)
    return plan_of(oracle, choice.choice(list(SHARES.values())), choice.choice(CUTS), choice.random())
