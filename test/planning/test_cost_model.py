"""The fast evaluation agrees with the schedule that workers derive."""

import random
from dataclasses import replace

import numpy as np
import pytest
from support.clusters import cluster_of, random_cluster
from support.graphs import GRAPHS, chain
from support.planning_requests import random_plan

from coedge_ros.planning.batch import batch_of
from coedge_ros.planning.cost import cost_of, evaluate
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.model_tables import tables_of
from coedge_ros.planning.workload import workload_of
from coedge_ros.spec.codec import Codec
from coedge_ros.spec.cuts import layer_cuts
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.plan import plan_from_shares
from coedge_ros.spec.profile import Profile


def fast_load(graph, devices, plan):
    rows = [np.array([bounds]) for bounds in plan.boundaries]
    heads = np.array([devices.names.index(plan.head)])
    tables = tables_of(graph)
    return batch_of(devices, tables.intervals, tables.stages(plan.cuts), rows, heads, with_memory=True)


def as_dict(load):
    return {
        (m.sent_after, m.needed_in): (m.size_bytes.tolist(), m.count.tolist()) for m in load.messages if m.count.any()
    }


@pytest.mark.parametrize("name", GRAPHS)
def test_the_fast_workload_is_that_of_the_schedule(name):
    rng, compared = random.Random(name), 0
    for _ in range(40):
        graph = GRAPHS[name](rng.choice([24, 37, 48]), 32)
        profile = Profile(random_cluster(rng, rng.choice([1, 2, 3, 5]), graph.total_macs))
        devices = Devices(graph, profile, rng.choice(list(Codec)), codec_everywhere=rng.random() < 0.5)
        plan = random_plan(rng, graph, devices.names)
        coded = devices.coding.of(plan) if devices.coding else plan
        batch, slow = fast_load(graph, devices, plan), workload_of(derive_schedule(graph, coded), devices)
        if batch.exact[0]:
            compared += 1
            assert np.array_equal(batch.load.macs, slow.macs)
            assert np.array_equal(batch.load.active, slow.active)
            assert np.array_equal(batch.load.memory_bytes, slow.memory_bytes)
            assert as_dict(batch.load) == as_dict(slow)
            assert cost_of(batch.load, devices).latency_s == pytest.approx(cost_of(slow, devices).latency_s, rel=1e-12)
    assert compared > 25


def test_macs_are_those_that_the_schedule_counts():
    graph = chain(64, 64)
    plan = plan_from_shares(graph, ("w0", "w1", "w2"), [1.0, 2.0, 1.0], ())
    schedule = derive_schedule(graph, plan)
    predicted = evaluate(plan, Devices(graph, Profile(cluster_of([1e8] * 3))))
    for i, worker in enumerate(predicted.workers):
        assert worker.macs == sum(schedule.macs(i, s) for s in range(plan.stages + 1))
    assert sum(worker.macs for worker in predicted.workers) > graph.total_macs  # overlap is computed twice


def test_a_worker_without_rows_costs_nothing():
    graph = chain(64, 64)
    plan = plan_from_shares(graph, ("w0", "w1"), [1.0, 0.0], layer_cuts(graph))
    idle = evaluate(plan, Devices(graph, Profile(cluster_of([1e8] * 2)))).worker("w1")
    assert (idle.rows, idle.macs, idle.bytes_in, idle.bytes_out, idle.energy_j, idle.idle_j) == (0, 0, 0, 0, 0, 0)


def on_one_host(cluster, cores):
    hosts = (replace(cluster.hosts[0], cores=cores), *cluster.hosts[1:])
    return replace(cluster, hosts=hosts, workers=tuple(replace(w, host="h0") for w in cluster.workers))


def test_threads_beyond_the_cores_slow_each_other():
    graph = chain(64, 64)
    plan = plan_from_shares(graph, ("w0", "w1"), [1.0, 1.0], layer_cuts(graph))
    apart = cluster_of([1e7] * 2)
    together = on_one_host(apart, cores=1)
    slow, fast = (evaluate(plan, Devices(graph, Profile(c))).latency_s for c in (together, apart))
    assert 1.7 < slow / fast < 2.05
    measured = evaluate(plan, Devices(graph, Profile(together, measured_together=True))).latency_s
    assert measured < 0.6 * slow


def test_one_worker_alone_is_faster_than_it_was_together_with_another():
    graph = chain(64, 64)
    alone = plan_from_shares(graph, ("w0", "w1"), [1.0, 0.0], layer_cuts(graph))
    apart = cluster_of([1e6] * 2)
    together = on_one_host(apart, cores=2 / 1.4)
    known, unknown = (evaluate(alone, Devices(graph, Profile(c, measured_together=True))) for c in (together, apart))
    assert unknown.workers[0].compute_s == pytest.approx(1.4 * known.workers[0].compute_s)
    assert unknown.latency_s > 1.3 * known.latency_s
