"""CoEdge's linear program and Algorithm 1."""

import pytest
from support.clusters import cluster_of
from support.graphs import GRAPHS, chain, flat_chain

from coedge_ros.planning.coedge_lp import algorithm_1
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.layer_costs import layer_costs
from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.rows.split import bands
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.outcome import Status
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import TransferKind

FAST = Link(1e-5, 1e9)


def planned(graph, cluster, factor=None, **more):
    profile = Profile(cluster)
    deadline_s = factor and factor * best_single_latency_s(graph, profile)
    return make_plan(PlanRequest(graph, profile, "coedge", deadline_s=deadline_s, **more))


@pytest.mark.parametrize("name", GRAPHS)
def test_equal_workers_without_a_deadline_are_not_split(name):
    outcome = planned(GRAPHS[name](64, 64), cluster_of([1e8] * 3, link=FAST))
    assert outcome.status is Status.OPTIMAL
    assert sorted(outcome.predicted.macs_share.values()) == [0, 0, 1]


@pytest.mark.parametrize("name", GRAPHS)
def test_a_deadline_of_0_6_of_the_best_single_worker_splits_three_equal_workers(name):
    outcome = planned(GRAPHS[name](64, 64), cluster_of([1e8] * 3, link=FAST), 0.6)
    assert outcome.is_feasible
    assert outcome.predicted.latency_s <= outcome.deadline_s
    assert max(outcome.predicted.macs_share.values()) < 0.6


def test_the_demos_cluster_gives_rows_to_all_three_workers(demo_cluster):
    profile = Profile(demo_cluster, {f"worker_{i}": 10e9 for i in (1, 2, 3)}, measured_together=True)
    graph = chain(224, 224, (32, 64, 128, 128, 256), (2, 1, 2, 1, 2))
    deadline_s = 0.6 * best_single_latency_s(graph, profile)
    outcome = make_plan(PlanRequest(graph, profile, "coedge", deadline_s=deadline_s))
    assert outcome.is_feasible
    shares = outcome.predicted.macs_share
    assert min(shares.values()) > 0.05 and max(shares.values()) < 0.6


def test_an_efficient_worker_gets_what_the_deadline_lets_it_have():
    outcome = planned(chain(64, 64), cluster_of([1e8, 1e8], [2.0, 8.0], link=FAST), 0.7)
    share = outcome.predicted.macs_share
    assert share["w0"] > 0.6 > share["w1"] > 0


def test_an_impossible_deadline_is_answered_with_the_plan_that_comes_closest():
    outcome = planned(chain(64, 64), cluster_of([1e8] * 3, link=FAST), 0.05)
    assert outcome.status is Status.INFEASIBLE
    assert outcome.plan is not None
    assert outcome.best_latency_s == outcome.predicted.latency_s
    assert "best latency" in outcome.binding
    fastest = planned(chain(64, 64), cluster_of([1e8] * 3, link=FAST), objective="latency")
    assert outcome.predicted.latency_s <= fastest.predicted.latency_s * 1.001


def test_a_slow_link_keeps_the_frame_on_one_worker():
    outcome = planned(chain(64, 64), cluster_of([1e8] * 3, link=Link(0.05, 1e5)), objective="latency")
    assert sorted(outcome.predicted.macs_share.values()) == [0, 0, 1]


@pytest.mark.parametrize("name", GRAPHS)
def test_nobody_who_works_owns_less_than_a_neighbour_needs(name):
    graph = GRAPHS[name](64, 64)
    outcome = planned(graph, cluster_of([1e8, 2e8, 1e8, 3e8], link=FAST), 0.5)
    schedule = derive_schedule(graph, outcome.plan)
    for stage in outcome.plan.boundaries:
        assert sum(len(band) for band in bands(stage)) == stage[-1]
    working = [w for w in range(4) if outcome.plan.boundaries[0][w] < outcome.plan.boundaries[0][w + 1]]
    for t in schedule.of_kind(TransferKind.HALO):
        assert abs(working.index(t.source) - working.index(t.target)) == 1


def test_the_threshold_comes_from_the_smallest_map():
    graph = flat_chain(64, 64)  # 5x5 stride 2, 3x3, pool, 3x3 on 16 rows
    assert layer_costs(graph, layer_cuts(graph)).threshold == pytest.approx(1 / 16)


def test_shares_of_the_program_sum_to_one_and_are_dropped_below_the_threshold():
    graph = chain(64, 64)
    devices = Devices(graph, Profile(cluster_of([1e8, 1e8, 1e5], link=FAST)))
    costs = layer_costs(graph, layer_cuts(graph))
    solution = algorithm_1(costs, devices, None)
    assert solution.shares.sum() == pytest.approx(1)
    assert solution.shares[2] == 0
    assert min(share for share in solution.shares if share) >= costs.threshold
