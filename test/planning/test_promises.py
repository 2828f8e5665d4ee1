"""What every planner's answer keeps when it is looked at as it will be executed: rows are whole, everything arrives."""

import random
from collections import defaultdict
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.clusters import cluster_of
from support.graphs import chain
from support.planning_requests import random_requests

from coedge_ros.planning.cost import TOLERANCE, evaluate
from coedge_ros.planning.registry import PLANNERS, make_plan
from coedge_ros.planning.request import PlanRequest
from coedge_ros.rows.access import reads_of
from coedge_ros.rows.row_set import RowSet
from coedge_ros.rows.split import bands, split_by_shares
from coedge_ros.spec.derivation import derive_schedule
from coedge_ros.spec.graph import Kind
from coedge_ros.spec.outcome import Status
from coedge_ros.spec.plan import reference_heights
from coedge_ros.spec.profile import Profile
from coedge_ros.spec.schedule import MANAGER

AUTOMATIC = [name for name in PLANNERS if name != "manual"]
FEW = settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


def request_of(seed, planner):
    return replace(next(random_requests(1, f"promises {seed}")), planner=planner)


def assert_all_rows_arrive(schedule):
    """Every row that an operator reads was computed by the same worker before, or sent to it by one who has it."""
    graph, plan = schedule.graph, schedule.plan
    have = [defaultdict(RowSet) for _ in plan.workers]
    for stage in range(plan.stages + 1):
        for t in schedule.transfers:
            if t.needed_in == stage and t.target != MANAGER and t.rows is not None:
                rows = RowSet.union_of([t.rows])
                if t.source != MANAGER:
                    assert have[t.source][t.tensor].covers(rows), f"{t}: the sender does not have them"
                have[t.target][t.tensor] |= rows
        for worker in range(len(plan.workers)):
            for work in schedule.work[worker][stage].computes:
                op = graph.operators[work.operator]
                for operand in op.operands:
                    source = graph.tensor(operand.tensor)
                    if operand.access is not None and source.height and work.rows and op.kind is not Kind.REDUCE:
                        needed = reads_of(operand.access, work.rows)
                        assert have[worker][operand.tensor].covers(needed), f"{op.name} on {plan.workers[worker]}"
                if op.output.height:
                    have[worker][op.name] |= work.rows


def assert_kept(request, outcome):
    graph, plan = request.graph, outcome.plan
    assert plan.workers == request.profile.cluster.worker_names
    for bounds, height in zip(plan.boundaries, reference_heights(graph, plan.cuts), strict=True):
        assert bounds[0] == 0 and bounds[-1] == height and list(bounds) == sorted(bounds)
    schedule = derive_schedule(graph, plan)
    assert_all_rows_arrive(schedule)
    again = evaluate(plan, request.devices)  # from the schedule that workers derive
    assert again.latency_s == pytest.approx(outcome.predicted.latency_s, rel=1e-9)
    assert again.energy_j == pytest.approx(outcome.predicted.energy_j, rel=1e-9)
    assert again.violations == outcome.predicted.violations
    met = request.deadline_s is None or again.latency_s <= request.deadline_s * (1 + TOLERANCE)
    assert outcome.is_feasible == (met and not again.violations)
    assert outcome.is_feasible or outcome.binding
    for i, worker in enumerate(again.workers):
        if worker.name != plan.head and all(bounds[i] == bounds[i + 1] for bounds in plan.boundaries):
            idle = (worker.macs, worker.bytes_in, worker.bytes_out, worker.energy_j, worker.idle_j, worker.compute_s)
            assert not any(idle), f"{worker.name} has no rows"


@pytest.mark.parametrize("planner", AUTOMATIC)
@given(seed=st.integers(0, 10**6))
@FEW
def test_a_plan_keeps_its_promises_after_rounding(planner, seed):
    request = request_of(seed, planner)
    assert_kept(request, make_plan(request))


@given(seed=st.integers(0, 10**6))
@FEW
def test_rows_by_hand_keep_them_too_and_reach_beyond_the_neighbour(seed):
    request, rng = request_of(seed, "manual"), random.Random(seed)
    names = request.profile.cluster.worker_names
    bounds = split_by_shares(request.graph.input.height, [rng.choice([0, 0.03, 1]) + 1e-9 for _ in names])
    heights = [len(rows) for rows in bands(bounds)]
    outcome = make_plan(replace(request, manual_rows=tuple(heights), head=rng.choice(names)))
    assert outcome.status is not Status.INVALID
    assert_kept(request, outcome)


def test_a_band_thinner_than_the_halo_is_bridged_from_further_away():
    graph = chain(32, 32, (8, 8), (1, 1), kernel=7)
    cuts = (0,)
    request = PlanRequest(graph, Profile(cluster_of([1e8] * 3)), "manual", manual_rows=(15, 1, 16), cuts=cuts)
    outcome = make_plan(request)
    hops = {abs(t.source - t.target) for t in derive_schedule(graph, outcome.plan).transfers if t.kind.value == "halo"}
    assert hops == {1, 2}
    assert_kept(request, outcome)
