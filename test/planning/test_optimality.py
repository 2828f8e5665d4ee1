"""`exact` against trying all rows, Algorithm 1 against `exact`, `fused` against every plan there is."""

import random
from itertools import combinations, pairwise

import numpy as np
import pytest
from support.clusters import random_cluster
from support.graphs import GRAPHS, chain
from support.planning_requests import score_of, small_graph

from coedge_ros.planning.coedge_lp import algorithm_1
from coedge_ros.planning.exact import exact_shares, program_of
from coedge_ros.planning.exhaustive import all_cuts, best_of_all, count_of_plans
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.profile import Profile

ROWS = 12
MOST_PLANS = 20_000


def requests(count, seed, graphs, workers):
    rng = random.Random(seed)
    for _ in range(count):
        graph = graphs(rng)
        profile = Profile(random_cluster(rng, rng.choice(workers), graph.total_macs))
        objective = rng.choice(["energy", "latency", "throughput"])
        factor = rng.choice([0.7, 0.9, 1.1]) if objective == "energy" else None
        yield PlanRequest(graph, profile, "fused", objective, factor and factor * best_single_latency_s(graph, profile))


def all_splits(rows, workers):
    for inner in combinations(range(rows + workers - 1), workers - 1):
        bounds = (-1, *inner, rows + workers - 1)
        yield np.array([b - a - 1 for a, b in pairwise(bounds)]) / rows


def best_by_trying(costs, devices, deadline_s):
    """Optimum of P1 over whole rows and heads, from the program's own latency and energy."""
    best = np.inf
    for shares in all_splits(ROWS, devices.count):
        if np.count_nonzero(shares) > 1 and shares[shares > 0].min() < costs.threshold - 1e-9:
            continue
        for head in range(devices.count):
            program = program_of(costs, devices, shares, head)
            working = shares[list(program.active)]
            if deadline_s is None:
                best = min(best, program.latency_s(working))
            elif program.latency_s(working) <= deadline_s:
                best = min(best, program.total_j(working))
    return best


@pytest.mark.parametrize("name", GRAPHS)
def test_exact_is_the_best_of_all_shares_in_whole_rows(name):
    feasible = 0
    for request in requests(6, name, lambda rng: small_graph(name, 48), (2, 3)):
        devices, deadline_s = request.devices, request.deadline_s
        costs = request.tables.layer_costs(request.tables.layer_cuts)
        tried = best_by_trying(costs, devices, deadline_s)
        found = exact_shares(costs, devices, deadline_s, rows=ROWS)
        if found is None:
            assert tried == np.inf
            continue
        feasible += 1
        assert (found.latency_s if deadline_s is None else found.energy_j) == pytest.approx(tried, rel=1e-5)
    assert feasible


def test_algorithm_1_never_beats_exact_and_is_often_as_good():
    equal = both = 0
    for request in requests(40, 3, lambda rng: small_graph(rng.choice(list(GRAPHS)), 48), (2, 3)):
        costs, deadline_s = request.tables.layer_costs(request.tables.layer_cuts), request.deadline_s
        found = algorithm_1(costs, request.devices, deadline_s)
        best = exact_shares(costs, request.devices, deadline_s)
        if found is None:
            continue
        both += 1
        shares = found.shares[list(found.program.active)]
        if deadline_s is None:
            mine, optimum = found.program.latency_s(shares), best.latency_s
        else:
            mine, optimum = found.program.total_j(shares), best.energy_j
        assert mine >= optimum * (1 - 1e-5)
        equal += mine <= optimum * (1 + 1e-5)
    assert both > 20 and equal > both / 4


def tiny(rng):
    channels, strides = rng.choice([((4, 8), (1, 1)), ((8, 8, 4), (1, 2, 1)), ((4, 8, 8), (1, 1, 1))])
    return chain(rng.choice([6, 8]), 8, channels, strides)


def test_every_plan_of_a_tiny_model_is_counted():
    graph = chain(6, 8, (4, 8), (1, 1))
    request = PlanRequest(graph, Profile(random_cluster(random.Random(0), 2, graph.total_macs)))
    # stages of 6 rows have 7 splits over two workers, that of the final mean the 7 of the frame; two heads
    assert sorted(all_cuts(request)) == [(), (0,), (0, 1), (1,)]
    assert count_of_plans(request) == 2 * (7 + 49 + 49 + 343)
    assert best_of_all(request).plans == count_of_plans(request)


def test_fused_is_within_one_percent_of_the_best_of_every_plan():
    compared = split = 0
    for request in requests(60, 11, tiny, (2, 2, 3)):
        if count_of_plans(request) > MOST_PLANS:
            continue
        best = best_of_all(request)
        compared += 1
        split += sum(worker.macs > 0 for worker in request.evaluator.predict(best.plan).workers) > 1
        assert score_of(request, make_plan(request).plan) <= best.score * 1.01
    assert compared > 25 and split > 8
