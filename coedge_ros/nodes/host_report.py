"""What a worker says of its host: power, heat, charge, and whether it must rest."""

from __future__ import annotations

import math
import time
from pathlib import Path

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import BatteryState

from coedge_ros.msg import WorkerStatus
from coedge_ros.nodes import qos
from coedge_ros.profiling.conditions import Limits, Throttling, temperature_c
from coedge_ros.profiling.meters import make_meter

BATTERY_SILENT_S = 60.0  # then its charge counts as unknown


class HostReport:
    """Reads meters and sensors when the worker says its status; executor thread.

    Parameters
    ----------
    worker : Node
        Gets the subscription to `battery_topic`, where that parameter is not empty.
    values : dict
        Parameters of the worker.
    """

    def __init__(self, worker: Node, values: dict):
        root = Path(values["sysfs_root"])
        self._root, self._values, self._log = root, values, worker.get_logger()
        self._meter, text = make_meter(values["power_source"], values["idle_w"], values["compute_w"], root)
        if text:
            self._log.warning(text)
        self._throttling = Throttling(root)
        self._limits = Limits(values["battery_floor"], values["max_temperature_c"])
        self._before = (time.monotonic(), self._meter.energy_j(time.monotonic(), 0.0))
        self._battery, self._battery_s = math.nan, -math.inf
        self._rests = ""
        if values["battery_topic"]:
            worker.create_subscription(
                BatteryState, values["battery_topic"], self._on_battery, qos.BATTERY,
                callback_group=MutuallyExclusiveCallbackGroup(),
            )  # fmt: skip

    def _on_battery(self, message: BatteryState) -> None:
        if 0.0 <= message.percentage <= 1.0:  # not NaN, which says that it is not known; nor what else may come
            self._battery, self._battery_s = message.percentage, time.monotonic()

    def add_to(self, message: WorkerStatus) -> None:
        """Fill a status in; its `load` is there already. One that could work is RESTING where its host must not."""
        now_s = time.monotonic()
        began_s, energy_before_j = self._before
        energy_j = self._meter.energy_j(now_s, message.load)
        self._before = (now_s, energy_j)
        message.power_source, message.energy_j = self._meter.source, energy_j
        message.power_w = (energy_j - energy_before_j) / max(now_s - began_s, 1e-6)
        message.temperature_c = temperature_c(self._root)
        message.battery = self._battery if now_s - self._battery_s < BATTERY_SILENT_S else math.nan
        message.throttled = self._throttling.now()
        reason = self._limits.reason_to_rest(message.battery, message.temperature_c)
        if bool(reason) != bool(self._rests):
            self._log.warning(reason or "works again")
        self._rests = reason
        if reason and message.state in (WorkerStatus.STATE_READY, WorkerStatus.STATE_ACTIVE):
            message.state, message.message = WorkerStatus.STATE_RESTING, reason
