"""All planners: what they promise of their plans, and what they say to requests that cannot be answered."""

from dataclasses import replace

import pytest
from support.clusters import cluster_of
from support.graphs import GraphBuilder, chain
from support.planning_requests import random_requests

from coedge_ros.planning.registry import best_single_latency_s, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.spec.cluster import Link
from coedge_ros.spec.outcome import Status
from coedge_ros.spec.profile import Profile


def test_fused_gives_the_same_plan_every_time():
    for request in random_requests(4, "same"):
        assert make_plan(request).plan == make_plan(replace(request)).plan


def test_more_workers_than_are_searched_over_get_no_rows():
    graph = chain(48, 48)
    profile = Profile(cluster_of([1e8 * (1 + i % 3) for i in range(30)], link=Link(1e-4, 1e8)))
    outcome = make_plan(PlanRequest(graph, profile, "fused", "latency"))
    assert outcome.plan.workers == profile.cluster.worker_names
    assert outcome.predicted.latency_s <= best_single_latency_s(graph, profile)


@pytest.mark.parametrize(
    "change, advice",
    [
        ({"deadline_s": 0.0}, "above 0"),
        ({"deadline_s": -1.0}, "above 0"),
        ({"planner": "fuse"}, "did you mean 'fused'"),
        ({"objective": "speed"}, "is none of energy"),
        ({"planner": "manual", "manual_rows": (1, 2)}, "together 32"),
    ],
)
def test_what_cannot_be_planned_is_answered_with_advice(change, advice):
    outcome = make_plan(PlanRequest(chain(), Profile(cluster_of([1e8] * 2)), **change))
    assert outcome.status is Status.INVALID and outcome.plan is None
    assert advice in outcome.explanation


def test_an_empty_cluster_and_unknown_speeds_are_answered_with_advice():
    empty = make_plan(PlanRequest(chain(), Profile(cluster_of([1e8]).only([]))))
    assert "no worker" in empty.explanation
    unknown = make_plan(PlanRequest(chain(), Profile(cluster_of([0.0]))))
    assert "speed of worker 'w0' is not known" in unknown.explanation


def test_a_worker_without_a_link_gets_no_rows_and_all_without_one_are_infeasible():
    nowhere = Link(0.0, 0.0)
    links = {("camera", "h0"): nowhere, ("h0", "camera"): nowhere, ("h0", "h1"): nowhere, ("h1", "h0"): nowhere}
    cluster = cluster_of([9e8, 1e8], links=links)
    outcome = make_plan(PlanRequest(chain(), Profile(cluster), "fused", "latency"))
    assert outcome.is_feasible and outcome.predicted.worker("w0").macs == 0
    outcome = make_plan(PlanRequest(chain(), Profile(cluster.only(["w0"])), "fused", "latency"))
    assert outcome.status is Status.INFEASIBLE
    assert "no link" in outcome.binding


def test_too_little_memory_names_the_worker():
    cluster = cluster_of([1e8])
    small = cluster.with_worker(type(cluster.workers[0])("w0", "h0", macs_per_s=1e8, memory_bytes=100))
    outcome = make_plan(PlanRequest(chain(), Profile(small)))
    assert outcome.status is Status.INFEASIBLE
    assert "w0 needs" in outcome.binding


def test_rows_by_hand_are_taken_as_given():
    outcome = make_plan(PlanRequest(chain(), Profile(cluster_of([1e8] * 2)), "manual", manual_rows=(8, 24), cuts=()))
    assert [worker.rows for worker in outcome.predicted.workers] == [8, 24]


def test_the_explanation_compares_with_the_best_single_worker_and_the_runner_up():
    graph, profile = chain(64, 64), Profile(cluster_of([1e8] * 3, link=Link(1e-5, 1e9)))
    limit = 0.6 * best_single_latency_s(graph, profile)
    outcome = make_plan(PlanRequest(graph, profile, "fused", deadline_s=limit))
    assert "best single worker" in outcome.explanation
    assert any(note.startswith("Runner-up:") for note in outcome.notes)
    alone = make_plan(PlanRequest(graph, profile, "fused"))
    assert "not split" in alone.explanation and "best split found" in alone.explanation


def test_a_model_without_operators_that_can_be_split_is_answered_with_advice():
    build = GraphBuilder(32, 32)
    outcome = make_plan(PlanRequest(build.flatten_and_classify("x"), Profile(cluster_of([1e8] * 2))))
    assert outcome.status is Status.INVALID and "no trunk" in outcome.explanation
