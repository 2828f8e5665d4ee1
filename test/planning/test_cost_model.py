"""The fast evaluation agrees with the schedule that workers derive, and the simulator with the cost model."""

import random
from dataclasses import replace

import numpy as np
import pytest
from support.clusters import cluster_of, random_cluster
from support.graphs import GRAPHS, chain

from coedge_ros.planning.batch import batch_of
from coedge_ros.planning.cost import cost_of, evaluate
from coedge_ros.planning.devices import Devices
from coedge_ros.planning.model_tables import tables_of
from coedge_ros.planning.request import PlanRequest
from coedge_ros.planning.simulation import BandwidthTrace, simulate
from coedge_ros.planning.workload import workload_of
from coedge_ros.spec.cuts import forced_cuts, layer_cuts, legal_cuts, with_forced
from coedge_ros.spec.plan import plan_from_shares, reference_heights
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import derive_schedule


def random_plan(rng, graph, names, vary=None):
    legal = legal_cuts(graph)
    some = with_forced(graph, rng.sample(legal, min(3, len(legal))))
    cuts = rng.choice([layer_cuts(graph), forced_cuts(graph), some])
    base = [rng.choice([0, 0.02, 1, 2]) for _ in names]
    base[rng.randrange(len(names))] += 1
    vary = rng.random() < 0.4 if vary is None else vary
    heights = reference_heights(graph, cuts)
    shares = [[s * rng.uniform(0.8, 1.2) if vary else s for s in base] for _ in heights]
    return plan_from_shares(graph, names, shares, cuts, head=rng.choice(names))


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
        devices = Devices(graph, Profile(random_cluster(rng, rng.choice([1, 2, 3, 5]), graph.total_macs)))
        plan = random_plan(rng, graph, devices.names)
        batch, slow = fast_load(graph, devices, plan), workload_of(derive_schedule(graph, plan), devices)
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


def test_threads_beyond_the_cores_slow_each_other():
    graph = chain(64, 64)
    plan = plan_from_shares(graph, ("w0", "w1"), [1.0, 1.0], layer_cuts(graph))
    apart = cluster_of([1e7] * 2)
    together = replace(
        apart,
        hosts=(replace(apart.hosts[0], cores=1), *apart.hosts[1:]),
        workers=tuple(replace(w, host="h0") for w in apart.workers),
    )
    slow, fast = (evaluate(plan, Devices(graph, Profile(c))).latency_s for c in (together, apart))
    assert 1.7 < slow / fast < 2.05
    measured = evaluate(plan, Devices(graph, Profile(together, measured_together=True))).latency_s
    assert measured < 0.6 * slow


def test_the_simulator_agrees_within_two_percent_but_for_the_order_at_receivers():
    rng, gaps = random.Random(3), []
    for _ in range(200):
        graph = GRAPHS[rng.choice(list(GRAPHS))](48, 48)
        profile = Profile(random_cluster(rng, rng.choice([1, 2, 3, 4, 6]), graph.total_macs))
        plan = random_plan(rng, graph, profile.cluster.worker_names)
        schedule = derive_schedule(graph, plan)
        predicted = PlanRequest(graph, profile).evaluator.predict(plan)
        done = simulate(schedule, profile)
        gaps.append(abs(predicted.latency_s / done.latency_s - 1))
        assert predicted.energy_j == pytest.approx(done.energy_j, rel=1e-9)
        # the one thing that the two model differently explains every gap
        ordered = simulate(schedule, profile, in_stage_order=True)
        assert predicted.latency_s == pytest.approx(ordered.latency_s, rel=1e-9)
    assert np.quantile(gaps, 0.95) < 0.02


def test_half_the_bandwidth_from_a_moment_on_takes_twice_the_time_from_then_on():
    trace = BandwidthTrace((0.0, 1.0), (1.0, 0.5))
    assert trace.duration(0.0, 0.5) == pytest.approx(0.5)
    assert trace.duration(0.5, 1.0) == pytest.approx(1.5)
    assert trace.duration(2.0, 1.0) == pytest.approx(2.0)


def test_noise_is_repeatable_and_scatters():
    graph = chain(48, 48)
    plan = plan_from_shares(graph, ("w0", "w1"), [1.0, 1.0], layer_cuts(graph))
    schedule, profile = derive_schedule(graph, plan), Profile(cluster_of([1e7] * 2))
    first, again, other = (simulate(schedule, profile, noise=0.2, seed=s).latency_s for s in (1, 1, 2))
    assert first == again != other
