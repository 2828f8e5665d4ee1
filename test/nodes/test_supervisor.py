"""When the manager plans, switches, or answers alone; decisions only, without ROS, and no time passes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from coedge_ros.nodes.membership import Member, Membership
from coedge_ros.nodes.supervisor import (
    PREPARE_LIMIT_S,
    RETRY_S,
    TOGETHER_S,
    UNUSABLE_LIMIT_S,
    GoAlone,
    IssuedPlan,
    MakePlan,
    Supervisor,
    SwitchTo,
)
from coedge_ros.planning.tracking import Estimates

DIGEST, SIZE, SESSION = "d" * 64, (97, 131), 99
NAMES = ("a", "b", "c")


class Bench:
    """A supervisor whose orders are carried out at once, and workers that do as they are told."""

    def __init__(self, wait_s: float = 30.0):
        self.now_s, self.epoch = 100.0, 0
        self.membership = Membership(NAMES, lost_after_s=1.5)
        self.supervisor = Supervisor(self.membership, SESSION, wait_s, self.now_s)
        self.workers: dict[str, Member] = {}
        self.leaves_out: set[str] = set()

    def there(self, *names: str, **changes) -> None:
        """Workers come up, or change."""
        for name in names:
            plain = Member(name, 0.0, True, DIGEST, SIZE, 1e9, frozenset({*NAMES, "manager"}), frozenset(), instance=1)
            self.workers[name] = replace(self.workers.get(name, plain), **changes)

    def gone(self, *names: str) -> None:
        for name in names:
            del self.workers[name]

    def step(self, seconds: float = 0.1):
        """Time passes, workers speak, the supervisor decides."""
        self.now_s += seconds
        for member in self.workers.values():
            self.membership.heard(replace(member, heard_s=self.now_s))
        self.membership.lose_silent(self.now_s)
        return self.supervisor.step(self.now_s, DIGEST, SIZE, set(NAMES))

    def issue(self, order: MakePlan) -> IssuedPlan:
        self.epoch += 1
        used = tuple(m.name for m in order.members if m.name not in self.leaves_out)
        schedule = SimpleNamespace(plan=SimpleNamespace(workers=used))
        plan = IssuedPlan(
            self.epoch, schedule, None, {m.name: m.instance for m in order.members}, self.now_s, order.estimates
        )
        self.supervisor.issued(plan)
        return plan

    def acknowledge(self, plan: IssuedPlan, *names: str) -> None:
        for name in names or plan.workers:
            prepared = self.workers[name].prepared | {(SESSION, plan.epoch)}
            self.there(name, prepared=prepared)

    def running(self, *names: str) -> IssuedPlan:
        """Bring a plan into force."""
        self.there(*names)
        plan = self.issue(self.step(31.0) if set(names) != set(NAMES) else self.step())
        self.acknowledge(plan)
        assert self.step() == SwitchTo(plan)
        return plan


@pytest.fixture
def bench() -> Bench:
    return Bench()


def used(order: MakePlan) -> list[str]:
    return [m.name for m in order.members]


def test_the_first_plan_waits_for_all_expected_workers(bench):
    bench.there("a", "b")
    assert bench.step() is None
    assert bench.supervisor.missing == ["c"] and "c (has not announced itself)" in bench.supervisor.waits_for
    bench.there("c")
    order = bench.step()
    assert used(order) == ["a", "b", "c"] and order.reason == "first"


def test_after_the_time_limit_it_starts_without_the_missing_and_says_so(bench):
    bench.there("a", "b")
    bench.there("c", ready=False, message="loads x")
    assert bench.step(29.0) is None
    order = bench.step(2.0)
    assert used(order) == ["a", "b"]
    assert order.reason == "first, after 30 s without c (is not ready: loads x)"


def test_without_any_worker_it_waits_on_and_is_overdue(bench):
    assert bench.step(31.0) is None
    assert bench.supervisor.is_overdue(bench.now_s)
    bench.there("b")
    assert used(bench.step()) == ["b"]


def test_no_second_plan_is_asked_for_while_one_is_made(bench):
    bench.there(*NAMES)
    assert isinstance(bench.step(), MakePlan)
    assert bench.step() is None


def test_a_plan_that_cannot_be_made_is_asked_for_again_after_a_while(bench):
    bench.there(*NAMES)
    bench.step()
    bench.supervisor.failed(bench.now_s)
    assert bench.step() is None
    assert isinstance(bench.step(RETRY_S), MakePlan)


def test_it_switches_when_all_workers_of_the_plan_have_acknowledged_it(bench):
    bench.there(*NAMES)
    plan = bench.issue(bench.step())
    bench.acknowledge(plan, "a", "b")
    assert bench.step() is None and bench.supervisor.in_force is None
    bench.acknowledge(plan, "c")
    assert bench.step() == SwitchTo(plan)
    assert bench.supervisor.in_force is plan and bench.supervisor.proposed is None
    assert bench.step() is None


def test_an_epoch_of_another_session_is_no_acknowledgement(bench):
    bench.there(*NAMES)
    plan = bench.issue(bench.step())
    bench.there(*NAMES, prepared=frozenset({(SESSION + 1, plan.epoch)}))
    assert bench.step() is None


def test_without_a_worker_that_is_gone(bench):
    plan = bench.running(*NAMES)
    bench.gone("b")
    assert bench.step(1.0) is None  # silent, not yet for long
    order = bench.step(1.0)
    assert used(order) == ["a", "c"] and order.reason == "without b"
    assert bench.supervisor.in_force is plan  # until the new one is prepared


def test_without_a_worker_that_was_restarted_and_is_still_loading(bench):
    bench.running(*NAMES)
    bench.there("b", instance=2, ready=False, prepared=frozenset())
    assert used(bench.step()) == ["a", "c"]


def test_a_worker_that_was_restarted_in_no_time_gets_a_new_plan(bench):
    bench.running(*NAMES)
    bench.there("b", instance=2)  # it even says that it has prepared the plan, which came to it again
    order = bench.step()
    assert used(order) == ["a", "b", "c"] and order.reason == "without b"


def test_with_one_that_comes_back(bench):
    bench.running("a", "c")
    bench.there("b")
    order = bench.step()
    assert used(order) == ["a", "b", "c"] and order.reason == "with b"


def test_a_worker_that_the_plan_gives_nothing_is_no_newcomer(bench):
    bench.leaves_out = {"b"}
    plan = bench.running(*NAMES)
    assert plan.workers == ("a", "c")
    assert bench.step() is None
    bench.gone("b")  # and no loss
    assert bench.step(2.0) is None
    bench.there("b", instance=2)
    assert bench.step().reason == "with b"


def test_a_worker_that_has_forgotten_the_plan_makes_a_new_one(bench):
    bench.running(*NAMES)
    bench.there("c", prepared=frozenset())
    assert bench.step().reason == "c lost the plan"


def test_a_worker_that_dies_before_it_acknowledges_is_left_out(bench):
    bench.there(*NAMES)
    bench.issue(bench.step())
    bench.gone("a")
    assert used(bench.step(2.0)) == ["b", "c"]


def test_a_worker_that_never_acknowledges_is_left_out_until_it_is_restarted(bench):
    bench.there(*NAMES)
    plan = bench.issue(bench.step())
    bench.acknowledge(plan, "a", "b")
    assert bench.step(PREPARE_LIMIT_S) is None
    assert bench.step() is None  # now it is barred
    order = bench.step()
    assert used(order) == ["a", "b"] and order.reason == "without c"
    plan = bench.issue(order)
    bench.acknowledge(plan)
    assert isinstance(bench.step(), SwitchTo) and bench.step() is None
    assert "has not acknowledged plan 1" in bench.membership.reason("c")
    bench.there("c", instance=2)
    assert bench.step().reason == "with c"


def test_when_nobody_is_left_it_goes_alone_and_takes_whoever_comes_back_at_once(bench):
    bench.running(*NAMES)
    bench.gone(*NAMES)
    assert bench.step(2.0) == GoAlone()
    assert bench.step() is None and bench.supervisor.is_alone
    bench.there("b")
    order = bench.step()
    assert used(order) == ["b"] and order.reason == "b came back"
    assert not bench.supervisor.is_alone


def test_workers_that_are_switched_on_together_join_with_one_plan(bench):
    bench.running("a")
    bench.there("b")
    bench.there("c", ready=False)
    assert bench.step() is None
    bench.there("c", ready=True)
    assert bench.step().reason == "with b, c"


def test_a_worker_that_joins_waits_for_another_for_a_short_time_only(bench):
    bench.running("a")
    bench.there("b")
    bench.there("c", ready=False)
    assert bench.step() is None and bench.step(TOGETHER_S / 2) is None
    assert bench.step(TOGETHER_S / 2).reason == "with b"


def test_until_all_are_back_after_all_were_lost_plans_are_made_at_once(bench):
    bench.running(*NAMES)
    bench.gone(*NAMES)
    assert bench.step(2.0) == GoAlone()
    for name, reason in (("b", "b came back"), ("a", "with a"), ("c", "with c")):
        bench.there(name)
        order = bench.step()
        assert order.reason == reason and order.is_urgent
        plan = bench.issue(order)
        bench.acknowledge(plan)
        assert isinstance(bench.step(), SwitchTo)
    assert not bench.supervisor.missing


def test_a_worker_that_comes_back_is_planned_for_at_once(bench):
    bench.running(*NAMES)
    bench.gone("a")
    order = bench.step(2.0)
    assert order.reason == "without a" and order.is_urgent
    bench.acknowledge(bench.issue(order))
    bench.step()
    bench.there("a", instance=2)
    order = bench.step()
    assert order.reason == "with a" and order.is_urgent


def test_it_does_not_go_alone_while_a_worker_of_the_plan_lives_that_is_just_not_connected(bench):
    bench.running(*NAMES)
    bench.gone("a", "b")
    bench.there("c", matched=frozenset())
    assert bench.step(2.0) is None
    assert bench.step(UNUSABLE_LIMIT_S / 2) is None
    bench.there("c", matched=frozenset({"manager"}))
    assert used(bench.step()) == ["c"]


def test_workers_that_stay_unconnected_are_no_help(bench):
    bench.running(*NAMES)
    bench.gone("a", "b")
    bench.there("c", matched=frozenset())
    assert bench.step(2.0) is None
    assert bench.step(UNUSABLE_LIMIT_S) == GoAlone()


def test_an_unconnected_newcomer_changes_nothing(bench):
    bench.running("a", "c")
    bench.there("b", matched=frozenset({"manager"}))
    assert bench.step() is None


def test_the_same_process_of_two_plans_is_told_from_a_restarted_one():
    def plan(**instances: int) -> IssuedPlan:
        schedule = SimpleNamespace(plan=SimpleNamespace(workers=tuple(instances)))
        return IssuedPlan(1, schedule, None, instances, 0.0)

    old = plan(a=1, b=1)
    assert plan(a=1, b=2).shares_process(old, "a")
    assert not plan(a=1, b=2).shares_process(old, "b")
    assert not plan(b=1).shares_process(old, "a")
    assert not old.shares_process(plan(b=1), "a")


@pytest.mark.parametrize(
    ("change", "is_there"), [({}, True), ({"instance": 2}, False), ({"prepared": frozenset()}, False)]
)
def test_a_worker_that_leaves_finishes_the_frames_of_its_plan_while_it_lives_and_has_it(bench, change, is_there):
    old = bench.running(*NAMES)
    bench.there("b", ready=False)  # deactivated
    order = bench.step()
    assert order.reason == "without b"
    new = bench.issue(order)
    bench.acknowledge(new)
    bench.there("b", **change)
    switch = bench.step()
    assert switch.plan is new and switch.finishes(old) is is_there


def test_a_worker_that_is_silent_finishes_nothing(bench):
    old = bench.running(*NAMES)
    bench.gone("b")
    new = bench.issue(bench.step(2.0))
    bench.acknowledge(new)
    switch = bench.step()
    assert switch == SwitchTo(new) and not switch.finishes(old)


SLOW = Estimates({"b": 0.3})


def better(plan: IssuedPlan) -> MakePlan:
    return MakePlan((), "b is slow", SLOW)


def test_another_plan_that_is_better_now_is_made(bench):
    plan = bench.running(*NAMES)
    order = better(plan)
    bench.supervisor.found_better(plan.epoch, order)
    assert bench.step() is order
    assert bench.step() is None  # it is being made
    assert bench.supervisor.in_force is plan  # and frames go on under the old one


def test_what_was_better_than_an_earlier_plan_is_forgotten(bench):
    plan = bench.running(*NAMES)
    bench.supervisor.found_better(plan.epoch - 1, better(plan))
    assert bench.step() is None
    bench.supervisor.found_better(plan.epoch, better(plan))
    bench.gone("b")
    assert bench.step(2.0).reason == "without b"  # comes first
    new = bench.issue(MakePlan(tuple(bench.workers.values()), "without b"))
    bench.acknowledge(new)
    assert bench.step() == SwitchTo(new)
    assert bench.step() is None


def test_plans_are_made_with_the_estimates_of_now_but_those_for_a_loss_with_those_of_the_plan_in_force(bench):
    bench.supervisor.estimates = SLOW
    bench.there(*NAMES)
    order = bench.step()
    assert order.estimates is SLOW
    plan = bench.issue(order)
    bench.acknowledge(plan)
    bench.step()
    bench.supervisor.estimates = Estimates({"b": 0.2})
    bench.gone("c")
    assert bench.step(2.0).estimates is plan.estimates  # solved beforehand
