"""Who is there and can be used."""

import math
from dataclasses import replace

import pytest

from coedge_ros.nodes.membership import APART_S, MAX_MEMBERS, Heard, Member, Membership

DIGEST, SIZE = "d" * 64, (97, 131)
ALL = frozenset({"manager", "a", "b", "c"})


def member(name: str, **changes) -> Member:
    plain = Member(name, 0.0, True, DIGEST, SIZE, 1e9, ALL - {name}, frozenset({(9, 1)}), instance=1)
    return replace(plain, **changes)


def membership(*members: Member) -> Membership:
    found = Membership(("a", "b", "c"), lost_after_s=1.5)
    for m in members:
        found.heard(m)
    return found


def names(members) -> list[str]:
    return [m.name for m in members]


def test_workers_that_fit_and_reach_each_other_are_usable_in_the_order_of_their_names():
    found = membership(member("c"), member("a"), member("b"))
    assert names(found.usable(DIGEST, SIZE, ALL)) == ["a", "b", "c"]
    assert found.missing(found.usable(DIGEST, SIZE, ALL)) == []


UNFIT = {
    "still loading": ({"ready": False, "message": "loads x"}, "is not ready: loads x"),
    "other weights": ({"digest": "e" * 64}, "has weights eeeeeeeeeeee, the manager dddddddddddd"),
    "another size": ({"size": (5, 6)}, "was loaded for 5x6, the manager for 97x131"),
    "no speed": ({"speed_macs_per_s": 0.0}, "speed is 0"),
    "a speed that is no number": ({"speed_macs_per_s": math.nan}, "speed is nan"),
    "no way to the manager": ({"matched": frozenset({"a", "c"})}, "no connection yet to the manager"),
    "no way to another": ({"matched": frozenset({"manager", "a"})}, "no connection yet to c"),
}


@pytest.mark.parametrize(("change", "reason"), UNFIT.values(), ids=UNFIT)
def test_a_worker_that_does_not_fit_is_refused_with_the_reason_and_the_others_are_used(change, reason):
    found = membership(member("a"), member("b", **change), member("c"))
    usable = found.usable(DIGEST, SIZE, ALL, first=("a", "c"))
    assert names(usable) == ["a", "c"]
    assert found.missing(usable) == ["b"] and reason in found.reason("b")


def test_a_worker_that_the_manager_cannot_reach_is_refused():
    found = membership(member("a"), member("b"))
    assert names(found.usable(DIGEST, SIZE, {"a"})) == ["a"]
    assert found.reason("b") == "has no connection yet to the manager"


def test_a_newcomer_that_is_not_connected_yet_does_not_push_out_those_in_the_plan():
    newcomer = member("a", matched=frozenset({"manager"}))  # first by name
    found = membership(newcomer, member("b"), member("c"))
    assert names(found.usable(DIGEST, SIZE, ALL, first=("b", "c"))) == ["b", "c"]


def test_whoever_was_never_heard_of_is_missing():
    found = membership(member("a"))
    assert found.missing(found.usable(DIGEST, SIZE, ALL)) == ["b", "c"]
    assert found.reason("b") == "has not announced itself"


def test_silence_makes_a_worker_go():
    found = membership(member("a", heard_s=10.0), member("b", heard_s=11.0))
    assert found.lose_silent(11.4) == []
    assert found.lose_silent(11.6) == ["a"]
    assert list(found.members) == ["b"]


def test_silence_is_told_sooner_of_a_worker_that_an_overdue_frame_waits_for():
    found = Membership(("a", "b"), lost_after_s=1.5, suspect_after_s=0.3)
    for name in "ab":
        found.heard(member(name, heard_s=10.0))
    assert found.lose_silent(10.25, {"a": 1}) == []
    assert found.lose_silent(10.35, {"a": 1}) == ["a"]
    assert found.lose_silent(10.4) == [] and found.lose_silent(11.6) == ["b"]


def test_the_less_late_the_frame_the_longer_must_be_the_silence_and_never_longer_than_of_anybody():
    found = Membership(("a", "b"), lost_after_s=1.5, suspect_after_s=0.3)
    for name in "ab":
        found.heard(member(name, heard_s=10.0))
    assert found.lose_silent(10.4, {"a": 1.5, "b": 9.0}) == []
    assert found.lose_silent(10.5, {"a": 1.5, "b": 9.0}) == ["a"]
    assert found.lose_silent(11.4, {"b": 9.0}) == [] and found.lose_silent(11.6, {"b": 9.0}) == ["b"]


def test_of_two_suspects_the_one_that_is_silent_for_longer_goes_first_and_the_other_may_have_waited_for_it():
    found = Membership(("a", "b"), lost_after_s=1.5, suspect_after_s=0.3)
    found.heard(member("a", heard_s=10.1))
    found.heard(member("b", heard_s=10.0))
    assert found.lose_silent(10.45, {"a": 1, "b": 1}) == ["b"]
    assert found.lose_silent(10.45 + 0.9 * APART_S, {"a": 1}) == []
    assert found.lose_silent(10.45 + 1.1 * APART_S, {"a": 1}) == ["a"]


def test_who_was_suspected_in_vain_has_longer_the_next_time_and_who_was_away_has_not():
    found = Membership(("a",), lost_after_s=1.5, suspect_after_s=0.3)
    found.heard(member("a", heard_s=10.0))
    assert found.lose_silent(10.35, {"a": 1}) == ["a"]
    assert found.heard(member("a", heard_s=10.5)) is Heard.JOINED  # the same process
    assert found.lose_silent(10.5 + 0.85, {"a": 1}) == [] and found.lose_silent(10.5 + 0.95, {"a": 1}) == ["a"]
    assert found.heard(member("a", heard_s=20.0)) is Heard.JOINED
    assert found.lose_silent(20.0 + 0.95, {"a": 1}) == ["a"]  # as late as the last time, no later
    assert found.heard(member("a", heard_s=21.1, instance=2)) is Heard.JOINED
    assert found._late_s["a"] == pytest.approx(0.2)


def test_rows_and_reports_are_signs_of_life_too():
    found = Membership(("a",), lost_after_s=1.5, suspect_after_s=0.3)
    found.heard(member("a", heard_s=10.0))
    found.lives("a", 10.4)
    found.lives("a", 10.2)  # an older one takes nothing back
    found.lives("stranger", 10.4)
    assert list(found.members) == ["a"]
    assert found.lose_silent(10.65, {"a": 1}) == []
    assert found.lose_silent(10.4 + 0.3 + 3 * 0.1 + 0.01, {"a": 1}) == ["a"]  # 0.1 s late once: it has longer
    assert found.heard(member("a", heard_s=30.0, instance=2)) is Heard.JOINED
    found.lives("a", 10.9)  # of the process before
    assert found.members["a"].heard_s == 30.0


def test_another_instance_is_a_restart_and_no_longer_the_worker_of_the_plan():
    found = membership(member("a"))
    assert found.is_alive("a", 1)
    assert found.heard(member("a")) is Heard.KNOWN
    assert found.heard(member("a", instance=2)) is Heard.RESTARTED
    assert not found.is_alive("a", 1) and found.is_alive("a", 2)


def test_of_two_workers_with_one_name_the_newer_is_used_until_it_goes():
    found = membership(member("a", heard_s=0.0))
    found.heard(member("a", instance=2, heard_s=0.1))
    assert found.heard(member("a", instance=1, heard_s=0.2)) is Heard.NAMESAKE
    assert found.members["a"].instance == 2
    found.lose_silent(5.0)
    assert found.heard(member("a", instance=1, heard_s=5.0)) is Heard.JOINED


def test_a_barred_worker_is_not_used_until_it_is_restarted():
    found = membership(member("a"), member("b"))
    found.bar("a", "does not answer")
    assert names(found.usable(DIGEST, SIZE, ALL)) == ["b"] and found.reason("a") == "does not answer"
    assert not found.is_alive("a", 1)
    found.heard(member("a", instance=2))
    assert names(found.usable(DIGEST, SIZE, ALL)) == ["a", "b"]


def test_a_flood_of_names_is_bounded():
    found = membership(*[member(f"w{i}") for i in range(MAX_MEMBERS)])
    assert found.heard(member("one_more")) is Heard.TOO_MANY
    assert len(found.members) == MAX_MEMBERS


def silent_for(found: Membership, seconds: float, *waited_for: str) -> list[str]:
    return found.lose_silent(found.members["a"].heard_s + seconds, dict.fromkeys(waited_for, 1))


def test_a_worker_whose_statuses_came_late_lately_has_longer_until_they_come_in_time_again():
    found = Membership(("a",), lost_after_s=1.5, suspect_after_s=0.3)
    now_s = 0.0
    for gap_s in (0.2, 0.25, 0.2):
        now_s += gap_s
        found.heard(member("a", heard_s=now_s))
    assert silent_for(found, 0.29, "a") == []  # in time: no longer than usual
    for gap_s in (0.8, 0.2):
        now_s += gap_s
        found.heard(member("a", heard_s=now_s))
    assert silent_for(found, 1.5, "a") == [] and silent_for(found, 2.5) == []
    for _ in range(1000):
        now_s += 0.2
        found.heard(member("a", heard_s=now_s))
    assert silent_for(found, 0.32, "a") == ["a"]


def test_even_a_worker_that_was_very_late_is_missed_in_the_end():
    found = Membership(("a",), lost_after_s=1.5, suspect_after_s=0.3)
    found.heard(member("a", heard_s=0.0))
    found.heard(member("a", heard_s=60.0))
    assert silent_for(found, 4.4) == [] and silent_for(found, 4.6) == ["a"]


def test_time_in_which_the_manager_did_not_run_is_nobodys_silence():
    found = membership(member("a", heard_s=10.0))
    found.excuse(5.0)
    assert found.lose_silent(16.0) == [] and found.lose_silent(16.6) == ["a"]


def test_a_worker_that_loads_may_be_silent_for_longer_and_is_not_taken_for_a_late_one_afterwards():
    found = membership(member("a", heard_s=10.0, ready=False))
    assert found.lose_silent(14.9) == []
    found.heard(member("a", heard_s=14.0, ready=False))
    found.heard(member("a", heard_s=18.0))
    assert silent_for(found, 1.4) == [] and silent_for(found, 1.6) == ["a"]
    found.heard(member("a", heard_s=30.0, ready=False))
    assert silent_for(found, 5.1) == ["a"]


def test_a_worker_that_loads_another_model_as_it_was_asked_to_may_be_silent_for_longer():
    found = membership(member("a"), member("b"))
    found.busy = frozenset({"a"})
    assert found.lose_silent(4.0, waited_for={"a": 1, "b": 1}) == ["b"]
    assert found.lose_silent(6.0, waited_for={"a": 1}) == ["a"]


def test_what_came_late_before_there_was_a_plan_is_not_remembered():
    found = Membership(("a",), lost_after_s=1.5, suspect_after_s=0.3)
    found.heard(member("a", heard_s=10.0, prepared=frozenset()))
    found.heard(member("a", heard_s=12.0, prepared=frozenset()))  # while all of them start
    found.heard(member("a", heard_s=14.0))
    assert silent_for(found, 1.4) == [] and silent_for(found, 1.6) == ["a"]


def test_a_busy_host_is_remembered_when_its_worker_comes_back():
    found = Membership(("a",), lost_after_s=1.5, suspect_after_s=0.3)
    found.heard(member("a", heard_s=10.0))
    found.heard(member("a", heard_s=10.8))  # 0.5 s late
    assert silent_for(found, 2.9) == [] and silent_for(found, 3.1) == ["a"]
    found.heard(member("a", heard_s=20.0, instance=2))
    assert silent_for(found, 2.9) == [] and silent_for(found, 3.1) == ["a"]
