"""The parts of `fused`: tables of stages, stage costs, the search over cuts, step-by-step improvement."""

import random
from dataclasses import replace

import numpy as np
import pytest
from support.clusters import cluster_of, random_cluster
from support.graphs import GRAPHS, chain
from support.planning_requests import random_plan, score_of, small_graph

from coedge_ros.planning.cost import cost_of
from coedge_ros.planning.cut_search import CutSearch
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.evaluator import Evaluator, Group
from coedge_ros.planning.exhaustive import best_of_all
from coedge_ros.planning.model_tables import tables_of
from coedge_ros.planning.patterns import patterns_for
from coedge_ros.planning.refine import Refiner
from coedge_ros.planning.refine_small import improve_small
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.stage_costs import StageCosts
from coedge_ros.planning.workload import workload_of
from coedge_ros.spec.cluster import Link, MeasuredTimes, StageTimes
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import plan_from_shares
from coedge_ros.spec.profile import Profile


def measured_profile(graph):
    """Two workers, one with a measured time of the whole trunk that does not shrink in proportion to the rows."""
    trunk = graph.operators[: graph.trunk_length]
    height = next(op.output.height for op in reversed(trunk) if op.output.height)
    last = next(op.name for op in reversed(trunk) if op.output.height)
    stage = StageTimes(trunk[0].name, last, (1, height // 2, height), (0.01, 0.02, 0.06))
    times = MeasuredTimes("m", graph.input.height, graph.input.shape[3], (stage,))
    cluster = cluster_of([1e8, 2e8])
    return Profile(cluster.with_worker(replace(cluster.workers[0], measured=(times,))), model="m")


@pytest.mark.parametrize("name", GRAPHS)
def test_measured_times_are_looked_up_as_the_schedule_counts_them(name):
    rng, graph, exact = random.Random(name), small_graph(name, 48), 0
    devices = Devices(graph, measured_profile(graph))
    evaluator = Evaluator(devices)
    for _ in range(10):
        plan = random_plan(rng, graph, devices.names)
        slow = cost_of(workload_of(derive_schedule(graph, plan), devices), devices)
        assert evaluator.predict(plan).latency_s == pytest.approx(float(slow.latency_s[0]), rel=1e-9)
        exact += 1
    assert exact == 10


def test_plans_with_different_cuts_cost_the_same_together_as_one_by_one():
    rng, graph = random.Random(1), small_graph("residual", 40)
    devices = Devices(graph, Profile(random_cluster(rng, 3, graph.total_macs)))
    plans = [random_plan(rng, graph, devices.names) for _ in range(12)]
    together = Evaluator(devices).figures_of(plans)
    for i, plan in enumerate(plans):
        alone = Evaluator(devices).figures_of([plan])
        for name in ("latency_s", "period_s", "energy_j", "energy_with_idle_j", "excess"):
            assert getattr(together, name)[i] == pytest.approx(getattr(alone, name)[0], rel=1e-12)


def test_what_is_known_of_a_model_is_kept_when_links_change():
    graph = chain(64, 64)
    tables = tables_of(graph)
    profile = Profile(cluster_of([1e8] * 3))
    PlanRequest(graph, profile).evaluator.figures_of([plan_from_shares(graph, ("w0", "w1", "w2"), [1.0] * 3, (1,))])
    slower = PlanRequest(graph, profile.with_cluster(profile.cluster.with_bandwidth(1e5)))
    assert slower.tables is tables and slower.evaluator.tables.stages((1,)) is tables.stages((1,))
    assert tables_of(chain(64, 64)) is not tables


def test_stage_costs_are_near_what_the_whole_plan_costs():
    graph = chain(96, 96, (8, 16, 16, 32), (1, 1, 2, 1))
    request = PlanRequest(graph, Profile(cluster_of([1e8, 1e8], link=Link(1e-5, 1e9))), "fused", "latency")
    costs = StageCosts(request.tables, request.devices, np.array([[1.0, 0.0], [0.5, 0.5]]))
    for found in CutSearch(costs, request.evaluator, np.ones(1), weight=0.0).plans(per_price=8):
        assert found.seconds == pytest.approx(request.evaluator.predict(found.plan).latency_s, rel=0.1)


def test_the_search_over_cuts_fuses_over_slow_links_and_cuts_over_fast_ones():
    graph = chain(96, 96, (16, 16, 16, 16, 16), (1, 1, 1, 1, 1))
    stages = {}
    for name, link in (("slow", Link(5e-3, 1e7)), ("fast", Link(1e-6, 1e10))):
        request = PlanRequest(graph, Profile(cluster_of([1e8, 1e8], link=link)), "fused", "latency")
        costs = StageCosts(request.tables, request.devices, np.array([[0.5, 0.5]]))
        best = CutSearch(costs, request.evaluator, np.ones(1), weight=0.0).plans(per_price=1)[0].plan
        stages[name] = best.stages
    assert stages["slow"] < stages["fast"]


def test_patterns_are_distinct_shares_that_begin_with_single_workers():
    devices = Devices(chain(), Profile(cluster_of([1e8, 2e8, 4e8])))
    patterns = patterns_for(devices, 0.5)
    assert patterns.sum(axis=1) == pytest.approx(np.ones(len(patterns)))
    assert (np.count_nonzero(patterns[:3], axis=1) == 1).all()
    assert len({tuple(np.round(row, 3)) for row in patterns}) == len(patterns)


@pytest.mark.parametrize("name", GRAPHS)
def test_improving_never_makes_a_plan_worse_and_scores_are_those_of_the_plan(name):
    rng, graph = random.Random(name), small_graph(name, 40)
    request = PlanRequest(graph, Profile(random_cluster(rng, 3, graph.total_macs)), "fused", "latency")
    plan = plan_from_shares(graph, request.devices.names, [1.0] * 3, layer_cuts(graph))
    refiner = Refiner(request.evaluator, request.scores, 3000)
    point = refiner.point(plan, score_of(request, plan))
    ends = request.tables.stage_ends
    for step in (
        refiner.improve_rows,
        refiner.drop_cuts,
        lambda p: refiner.split_stages(p, ends),
        lambda p: refiner.move_cuts(p, ends),
    ):
        after = step(point)
        assert after.score <= point.score
        assert score_of(request, refiner.plan(after)) == pytest.approx(after.score, rel=1e-9)
        point = after
    assert point.score < score_of(request, plan)


def test_small_plans_are_improved_to_the_best_of_all():
    rng = random.Random(5)
    graph = chain(6, 8, (4, 8), (1, 1))
    for _ in range(5):
        request = PlanRequest(graph, Profile(random_cluster(rng, 2, graph.total_macs)), "fused", "throughput")
        refiner = Refiner(request.evaluator, request.scores, 10**6)
        start = request.single_worker("w0")
        point = improve_small(refiner, refiner.point(start, score_of(request, start)), (0, 1))
        assert point.score == pytest.approx(best_of_all(request).score, rel=1e-6)


def test_plans_that_intervals_do_not_describe_are_given_up_in_a_hurry_and_derived_otherwise():
    graph = small_graph("residual", 40)
    devices = Devices(graph, Profile(cluster_of([1e8] * 3)))
    evaluator = Evaluator(devices)
    rng = random.Random(0)
    for _ in range(200):
        heights = tables_of(graph).stages(cuts := tuple(sorted(rng.sample(range(graph.trunk_length - 1), 2)))).heights
        bounds = [np.array([[0, *sorted(rng.randint(0, h) for _ in range(2)), h]]) for h in heights]
        group = Group(cuts, bounds, np.zeros(1, int))
        hurried = evaluator.figures_of_groups([group], hurry=True)
        if np.isinf(hurried.excess[0]):
            plan = evaluator.plan(cuts, [b[0] for b in bounds], 0)
            slow = cost_of(workload_of(derive_schedule(graph, plan), devices), devices)
            full = evaluator.figures_of_groups([group])
            assert full.latency_s[0] == pytest.approx(float(slow.latency_s[0])) and full.excess[0] == 0
            return
    pytest.fail("no plan of separate rows was found")
