"""The list of scenarios of `coedge chaos`."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from coedge_ros.cli import chaos_scenarios as scenarios
from coedge_ros.cli.chaos_fuzz import fuzz, two_cameras
from coedge_ros.cli.chaos_links import (
    loss,
    slow_boards_on_hosts,
    slow_link,
    why_no_loss,
    why_no_shaping,
    wireless_boards,
)
from coedge_ros.cli.chaos_scenarios import Found, Hands
from coedge_ros.cli.chaos_setting import Setting, busy_boards, slow_boards
from coedge_ros.cli.chaos_soak import soak
from coedge_ros.cli.chaos_throttle import throttle, two_real_workers
from coedge_ros.cli.quota import why_no_quota


@dataclass(frozen=True)
class Scenario:
    """What is done, to which cluster, and why it cannot be done here.

    Scenarios that follow each other in the list and name the same cluster share it.
    """

    run: Callable[[Hands], Found]
    cluster: Callable[[Setting], AbstractContextManager[Hands]] = slow_boards
    repetitions: int = 1
    lacks: Callable[[], str] = str  # "" when it can run
    alone: bool = False  # in a process of its own, because Fast DDS reads one profile per process


SCENARIOS = {
    "kill-one": Scenario(scenarios.kill_one, repetitions=20),
    "hang": Scenario(scenarios.hang),
    "kill-two": Scenario(scenarios.kill_two),
    "kill-all": Scenario(scenarios.kill_all),
    "manager-restart": Scenario(scenarios.manager_restart),
    "fuzz": Scenario(lambda hands: fuzz(hands, hands.setting.messages), two_cameras),
    "soak": Scenario(lambda hands: soak(hands, hands.setting.soak_s), busy_boards),
    "throttle": Scenario(throttle, two_real_workers, lacks=why_no_quota),
    "slow-link": Scenario(slow_link, slow_boards_on_hosts, lacks=why_no_shaping, alone=True),
    "loss": Scenario(loss, wireless_boards, lacks=why_no_loss, alone=True),
}
