"""What the manager's solver remembers, and what it answers with while frames wait."""

import pytest
from support.planning_requests import small_graph

from coedge_ros.nodes.membership import Member
from coedge_ros.nodes.solving import NOTHING, Solver
from coedge_ros.planning.tracking import Estimates
from coedge_ros.spec.cluster import ClusterSpec, Host, Link

NAMES = ("a", "b", "c")


def member(name: str, speed: float = 1e9) -> Member:
    return Member(name, 0.0, True, "d", (24, 32), speed, frozenset(), frozenset())


@pytest.fixture
def solver(monkeypatch):
    values = {"planner": "fused", "objective": "latency", "deadline_s": 0.0, "deadline_factor": 0.0, "rows": "",
              "cuts": "layers", "codec": "raw", "model": "chain"}  # fmt: skip
    solver = Solver(small_graph("chain"), ClusterSpec((Host("here"),), (), Link(0.001, 1e8), "here"), values)
    solver.calls = []
    solve = solver._solve
    monkeypatch.setattr(solver, "_solve", lambda *args: solver.calls.append(args) or solve(*args))
    return solver


def test_what_was_solved_is_not_solved_again(solver):
    workers = [member(name) for name in NAMES]
    first = solver.solve(workers)
    assert solver.solve(workers[::-1]) is first and len(solver.calls) == 1
    assert solver.solve(workers, Estimates({"a": 0.5})) is not first and len(solver.calls) == 2


def test_for_losses_it_has_a_plan_beforehand_without_a_search(solver):
    workers = [member(name) for name in NAMES]
    plan = solver.solve(workers).plan
    solver.prepare_for_losses(workers, NOTHING, plan)
    assert len(solver.calls) == 1 and len(solver._solved) == 4
    found = solver.solve_at_once(workers[1:])
    assert found.is_quick and set(found.plan.workers) <= {"b", "c"} and len(solver._solved) == 4
    assert not solver.solve(workers[1:]).is_quick and len(solver.calls) == 2
    assert not solver.solve_at_once(workers[1:]).is_quick


def test_other_planners_than_fused_solve_for_losses(solver):
    solver.values["planner"] = "coedge"
    workers = [member(name) for name in NAMES]
    solver.prepare_for_losses(workers, NOTHING, solver.solve(workers).plan)
    assert len(solver.calls) == 4 and not solver.solve_at_once(workers[1:]).is_quick


def test_who_was_lost_unprepared_is_done_without_at_once(solver):
    workers = [member(name) for name in NAMES]
    solver.solve(workers)
    found = solver.solve_at_once(workers[:1])
    assert len(solver.calls) == 1 and found.is_quick and found.plan.workers == ("a",)
    best = solver.solve(workers[:1])
    assert best.latency_s == pytest.approx(found.latency_s)  # one worker alone: nothing to search for


def test_while_frames_wait_the_newest_plan_for_the_same_workers_will_do(solver):
    workers = [member(name) for name in NAMES]
    old, new, now = (Estimates({"b": factor}) for factor in (0.9, 0.5, 0.4))
    for estimates in (old, new):
        solver.solve(workers[1:], estimates)
    found = solver.solve_at_once(workers[1:], now)
    assert len(solver.calls) == 2
    assert set(found.plan.workers) <= {"b", "c"} and found.estimates == new
    assert solver.solve(workers[1:], now).estimates == now and len(solver.calls) == 3
    assert solver.solve_at_once(workers[1:], now).estimates == now


def test_a_worker_that_measured_its_speed_again_is_the_same_worker(solver):
    workers = [member(name) for name in NAMES]
    before = solver.solve(workers)
    workers[0] = member("a", 1.25e9)
    found = solver.solve_at_once(workers)
    assert len(solver.calls) == 1 and found.plan == before.plan
    assert found.compute_s["a"] == pytest.approx(before.compute_s["a"] / 1.25)
    assert found.compute_s["b"] == pytest.approx(before.compute_s["b"])


@pytest.mark.parametrize("change", ["speed", "aim", "workers"])
def test_a_plan_for_something_else_will_not_do(solver, change):
    workers = [member(name) for name in NAMES]
    solver.solve(workers[:2])
    if change == "speed":
        workers[0] = member("a", 2e9)
    elif change == "aim":
        solver.values["objective"] = "throughput"
    solver.solve_at_once(workers if change == "workers" else workers[:2], Estimates({"a": 0.5}))
    assert len(solver.calls) == 2
