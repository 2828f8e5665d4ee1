"""A worker is throttled as a hot board is: its rows shrink to what the planner predicts, and come back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median

from coedge_ros.cli.bench_report import interval
from coedge_ros.cli.chaos_plans import at_speeds, differs_from_command, share_of
from coedge_ros.cli.chaos_scenarios import Found, Hands
from coedge_ros.cli.chaos_setting import Setting
from coedge_ros.cli.quota import ProcessorQuota

MODEL = "resnet18"  # most of its time is in kernels, of MobileNetV2 it is in memory, which workers of a host share
QUOTA = 0.3
RATE_HZ = 2.5  # slowly enough that frames do not wait for each other when it is throttled
STEADY_S, SETTLE_S = 5.0, 3.0
LEAST_SLOWDOWN = 2.0
SHRINK_LIMIT_S = 3.0
BACK_LIMIT_S = 15.0
SHRUNK, BACK = 0.85, 2.0  # of the rows before, of the rows while throttled
BLOCKS, FRAMES = 20, 5
PAUSE_S, AFTER_S = 3600.0, 0.8  # replan_after_s while plans are compared, and as it is by itself
NEAR = 1.15  # of the latency with the best plan for the throttled speed
PEAK = 2.0  # p99 while plans change against p99 without


@contextmanager
def two_real_workers(setting: Setting) -> Iterator[Hands]:
    """Two workers as `coedge profile` measures them, so that latency follows the plan and small bands are no surprise.

    But not what it says of their host's cores, with which one of them alone may be quicker: here both must have rows.
    For the same reason always with `MODEL`.
    """
    from coedge_ros.cli.bench_cluster import equal_workers, measured_cluster, telling_weights

    with tempfile.TemporaryDirectory(prefix="coedge_chaos_") as folder:
        weights = telling_weights(MODEL, "", setting.size, Path(folder))
        setting = replace(setting, model=MODEL, weights=weights, _known={})
        size = 2 * setting.size[0], 2 * setting.size[1]
        values = measured_cluster(equal_workers(2, 1), MODEL, weights, size)
        for host in values["hosts"]:
            host.pop("cores", None)
        with setting.cluster(values, size=size, rate_hz=RATE_HZ) as hands:
            yield hands


def throttle(hands: Hands) -> Found:
    """One of two workers gets a processor quota, later lifted."""
    victim, traffic = hands.workers[-1], hands.traffic
    traffic.run_for(STEADY_S)
    plan = hands.plan_in_force()
    share, pace = share_of(plan, victim), _seconds_per_mac(hands, victim, 0.0)
    steady_s = traffic.account.latencies_s()
    figures, problems = {"rows_before": round(share, 3)}, []
    if not share:
        return Found(problems=(f"{victim} has no rows from the beginning: one worker alone is quicker here",))
    with ProcessorQuota(QUOTA) as quota:
        began = time.monotonic()
        quota.hold(hands.cluster.group.children[victim].pid)
        shrunk_s = traffic.run_until(lambda: share_of(hands.plan_in_force(), victim) < SHRUNK * share, BACK_LIMIT_S)
        slowdown = _seconds_per_mac(hands, victim, began) / pace
        if not slowdown >= LEAST_SLOWDOWN:  # also when it computed nothing
            return Found(problems=(f"the quota made it {slowdown:.1f} times slower only: this proves nothing",))
        if shrunk_s is None or shrunk_s > SHRINK_LIMIT_S:
            problems.append(f"rows shrank after {shrunk_s or BACK_LIMIT_S:.1f} s, limit {SHRINK_LIMIT_S:g} s")
        traffic.run_for(SETTLE_S)
        # What is compared is this plan: frames by turns with another cluster's would have it estimate anew.
        if BLOCKS and not hands.listening.set_parameter("partition_manager", "replan_after_s", PAUSE_S):
            problems.append("the manager did not stop looking for better plans")
        adapted = hands.plan_in_force()
        problems += differs_from_command(hands)
        figures |= {
            "slowdown": round(slowdown, 2), "shrunk_s": shrunk_s and round(shrunk_s, 2),
            "rows_throttled": round(share_of(adapted, victim), 3),
        }  # fmt: skip
        if BLOCKS:
            figures |= _against_the_best(hands, victim, slowdown, problems)
        throttled = time.monotonic()
        traffic.run_for(SETTLE_S)
        traffic.settle()
        throttled_s = traffic.account.latencies_s(throttled, time.monotonic())
        least = share_of(hands.plan_in_force(), victim)
    began = time.monotonic()
    back_s = traffic.run_until(lambda: share_of(hands.plan_in_force(), victim) > BACK * least, BACK_LIMIT_S)
    if back_s is None:
        speeds = "; ".join(f"{s.name} {s.factor:.2f}, planned with {s.planned_factor:.2f}" for s in hands.status.speeds)
        problems.append(f"it did not get its rows back within {BACK_LIMIT_S:g} s; speeds: {speeds}")
    traffic.run_for(SETTLE_S)
    problems += differs_from_command(hands)  # it has as many as its speed is worth
    # while the plan was looked for, made, and switched to, and shortly after
    changing_s = traffic.account.latencies_s(began, began + (back_s or BACK_LIMIT_S) + 1.0)
    figures |= {
        "back_s": back_s and round(back_s, 2), "rows_back": round(share_of(hands.plan_in_force(), victim), 3),
        "steady_p99_ms": _p99_ms(steady_s), "throttled_p99_ms": _p99_ms(throttled_s),
        "replanning_p99_ms": _p99_ms(changing_s), "replans": hands.status.replans,
    }  # fmt: skip
    before_ms = max(_p99_ms(steady_s), _p99_ms(throttled_s))  # the first plan that changes is the throttled one
    if _p99_ms(changing_s) > PEAK * before_ms:
        problems.append(f"p99 was {_p99_ms(changing_s)} ms while plans changed, {before_ms} ms before")
    return Found(shrunk_s, hands.plan.planning_ms / 1e3, tuple(problems), figures=figures)


def _seconds_per_mac(hands: Hands, worker: str, since_s: float) -> float:
    """Median time of a multiply-accumulate, as the worker counted it, of frames sent after `since_s`."""
    account = hands.traffic.account
    found = [
        usage.compute_ms / 1e3 / usage.macs
        for number, result in account.results.items()
        if account.sent_s[number] >= since_s
        for usage in result.workers
        if usage.name == worker and usage.macs
    ]
    return median(found) if found else float("nan")


def _against_the_best(hands: Hands, victim: str, slowdown: float, problems: list[str]) -> dict[str, object]:
    """Frames in turn through this cluster and one whose plan was made for the throttled speed from the beginning."""
    values, setting = at_speeds(hands.cluster.values, {victim: 1 / slowdown}), hands.setting
    ratios, picture = [], hands.traffic.pictures[0]
    with (
        setting.cluster(values, size=hands.cluster.size, manager={"track": False}) as best,
        ProcessorQuota(QUOTA) as quota,
    ):
        quota.hold(best.cluster.group.children[victim].pid)
        for block in range(BLOCKS):
            seconds = {}
            for which in (hands, best) if block % 2 else (best, hands):
                which.cluster.answer(picture)
                seconds[which] = median(which.cluster.answer(picture)[1] for _ in range(FRAMES))
            ratios.append(seconds[hands] / seconds[best])
        share = share_of(best.plan, victim)
    hands.listening.set_parameter("partition_manager", "replan_after_s", AFTER_S)
    low, high = interval(ratios)
    if high > NEAR:
        problems.append(f"latency is {low:.2f} to {high:.2f} of that with the best plan, limit {NEAR:g}")
    return {"rows_of_the_best": round(share, 3), "against_the_best": [round(low, 3), round(high, 3)]}


def _p99_ms(seconds: list[float]) -> float:
    import numpy as np

    return round(float(np.percentile(seconds, 99)) * 1e3, 1) if seconds else float("nan")
