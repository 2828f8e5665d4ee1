"""Heat and charge of a worker's host, and whether it may work in them."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from coedge_ros.profiling.sysfs import SYS, read_number, read_text

COOLER_C = 5.0  # below its limit before a host that was too hot may work again
FULLER = 0.02  # above its floor, of the capacity
_NO_HEAT_C = (-40.0, 200.0)  # sensors that are not connected report nonsense


def temperature_c(root: Path = SYS) -> float:
    """Temperature of the hottest zone [°C]; NaN where there is none."""
    zones = (root / "class/thermal").glob("thermal_zone*/temp")
    found = [t for zone in zones if _NO_HEAT_C[0] < (t := read_number(zone) / 1000) < _NO_HEAT_C[1]]
    return max(found, default=math.nan)


class Throttling:
    """Whether the processor is held back: by its own protection, or by a fan or frequency limit that has set in."""

    def __init__(self, root: Path = SYS):
        self._cpus, self._thermal = root / "devices/system/cpu", root / "class/thermal"
        self._events = self._count()

    def now(self) -> bool:
        """Whether it is, or was since the last call."""
        events, before = self._count(), self._events
        self._events = events
        return events > before or self._is_limited()

    def _count(self) -> float:
        counters = (read_number(p) for p in self._cpus.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        return sum(count for count in counters if not math.isnan(count))

    def _is_limited(self) -> bool:
        for policy in self._cpus.glob("cpufreq/policy*"):
            if read_number(policy / "scaling_max_freq") < read_number(policy / "cpuinfo_max_freq"):
                return True
        kinds = ((p.parent, p) for p in self._thermal.glob("cooling_device*/type"))
        return any(read_number(device / "cur_state") > 0 for device, kind in kinds if "cpu" in read_text(kind).lower())


@dataclass(slots=True)
class Limits:
    """When a worker must rest: charge below a floor, temperature above a limit; it works again a little beyond that.

    Attributes
    ----------
    battery_floor : float
        Part of the capacity, [0, 1]; 0 for none.
    max_temperature_c : float
        [°C]; 0 for none.
    """

    battery_floor: float = 0.0
    max_temperature_c: float = 0.0
    _is_flat: bool = field(default=False, init=False)
    _is_hot: bool = field(default=False, init=False)

    def reason_to_rest(self, battery: float, temperature_c: float) -> str:
        """Why the worker must not be used now; "" when it may. NaN, not known, is no reason."""
        if self.battery_floor and not math.isnan(battery):
            self._is_flat = battery < self.battery_floor + FULLER * self._is_flat
        if self.max_temperature_c and not math.isnan(temperature_c):
            self._is_hot = temperature_c > self.max_temperature_c - COOLER_C * self._is_hot
        reasons = []
        if self._is_flat:
            reasons.append(f"battery at {battery:.0%}, floor {self.battery_floor:.0%}")
        if self._is_hot:
            reasons.append(f"{temperature_c:.0f} °C, limit {self.max_temperature_c:.0f} °C")
        return "rests: " + ", ".join(reasons) if reasons else ""
