"""`fused` against every other planner over 500 random clusters x models: 200 by default, the rest with `-m full`."""

from dataclasses import replace

import pytest
from support.planning_requests import random_requests, score_of

from coedge_ros.planning.registry import PLANNERS, make_plan

CASES = 50
BY_DEFAULT = 4
EVERY = 4  # the exact program takes longer than all others together: by default in a fourth of the cases

SEEDS = [seed if seed < BY_DEFAULT else pytest.param(seed, marks=pytest.mark.full) for seed in range(10)]


@pytest.mark.parametrize("seed", SEEDS)
def test_fused_is_never_worse_than_any_other_planner(seed):
    feasible = 0
    for case, request in enumerate(random_requests(CASES, f"never worse {seed}")):
        outcome = make_plan(request)
        feasible += outcome.is_feasible
        best = score_of(request, outcome.plan)
        for planner in PLANNERS:
            if planner in ("fused", "manual") or (planner == "exact" and seed < BY_DEFAULT and case % EVERY):
                continue
            other = make_plan(replace(request, planner=planner))
            assert best <= score_of(request, other.plan) * (1 + 1e-6), f"case {case}: {planner}"
            assert outcome.is_feasible or not other.is_feasible, f"case {case}: {planner}"
    assert CASES // 2 < feasible < CASES
