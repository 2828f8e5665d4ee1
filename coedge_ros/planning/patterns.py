"""Candidate shares: the ways of dividing rows among workers that the search chooses from, stage by stage."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from coedge_ros.planning.devices import Devices


def worker_counts(workers: int) -> list[int]:
    """Numbers of workers, from 2 on, that are tried: all up to 12, then in steps of about a half."""
    counts, m = [], 2
    while m < workers:
        counts.append(m)
        m = m + 1 if m < 12 else m * 3 // 2
    return counts + [workers] * (workers >= 2)


def patterns_for(
    devices: Devices,
    deadline_s: float | None,
    extra: Iterable[np.ndarray] = (),
    limit: int = 24,
) -> np.ndarray:
    """Distinct rows of shares that sum to one, shape (K, N), single workers first.

    Single workers; the m fastest and the m most efficient with shares by speed; the fastest with each other worker;
    with a deadline, the most efficient as full as parts of the deadline allow; and the `extra` ones.
    """
    n, speed = devices.count, devices.speed
    work = float(sum(op.macs for op in devices.graph.operators))
    joules = devices.compute_w / speed
    by_speed, by_joules = np.argsort(-speed, kind="stable"), np.argsort(joules, kind="stable")
    found: list[np.ndarray] = []

    def add(shares: np.ndarray) -> None:
        total = shares.sum()
        if total > 0 and not any(np.allclose(shares / total, other, atol=0.01) for other in found):
            found.append(shares / total)

    singles = list(dict.fromkeys([*by_speed[:6], *by_joules[:6], *np.flatnonzero(~devices.crosses[-1, :-1])[:2]]))
    for i in singles:
        add(np.eye(n)[i])
    for shares in extra:
        add(np.asarray(shares, dtype=float))
    for m in worker_counts(n):
        for order in (by_speed, by_joules):
            mask = np.zeros(n)
            mask[order[:m]] = 1.0
            add(mask * speed)
    if deadline_s is not None:
        for fraction in (0.9, 0.75, 0.6, 0.45, 0.3):
            room, shares = 1.0, np.zeros(n)
            for i in by_joules:
                shares[i] = min(room, fraction * deadline_s * speed[i] / work)
                room -= shares[i]
            if room <= 1e-9:
                add(shares)
    for i in by_speed[1:7]:
        mask = np.zeros(n)
        mask[[by_speed[0], i]] = 1.0
        add(mask * speed)
    return np.array(found[: max(limit, len(singles) + 1)])
