"""What a worker's host draws: modelled, or measured where the host can.

A meter of the host counts everything on it: with several workers on one host each of them reports the whole.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Protocol

from coedge_ros.errors import CoedgeError
from coedge_ros.profiling.sysfs import SYS, read_number, read_text

SOURCES = ("modelled", "auto", "rapl", "ina")
_RAPL = "class/powercap"
_WHOLE_BOARD = ("VDD_IN", "POM_5V_IN", "VIN", "VIN_SYS_5V0", "CV_IN")  # rails of Jetson boards that feed all others


class NoMeterError(CoedgeError):
    """The host has no such meter, or does not let us read it."""


class PowerMeter(Protocol):
    """Counts energy.

    Attributes
    ----------
    source : str
        What it is: `modelled`, `rapl` or `ina`.
    """

    source: str

    def energy_j(self, now_s: float, load: float) -> float:
        """Energy since the first call [J].

        Parameters
        ----------
        now_s : float
            Monotonic seconds, not less than in the last call.
        load : float
            Busy fraction since the last call, [0, 1].
        """


class _Integrating(ABC):
    """Sums power over time: each call's power counts for the time since the last one."""

    source = ""

    def __init__(self):
        self._before_s = math.nan
        self._energy_j = 0.0

    def energy_j(self, now_s: float, load: float) -> float:
        if now_s > self._before_s:  # not for the first call, when that is NaN
            self._energy_j += self.power_w(load) * (now_s - self._before_s)
        self._before_s = now_s
        return self._energy_j

    @abstractmethod
    def power_w(self, load: float) -> float:
        """Power at a load, see `PowerMeter`."""


class ModelledPower(_Integrating):
    """Idle and computing power as configured, in the proportions of the load."""

    source = "modelled"

    def __init__(self, idle_w: float, compute_w: float):
        super().__init__()
        self.idle_w, self.compute_w = idle_w, compute_w

    def power_w(self, load: float) -> float:
        """Mean power at a load [W]."""
        return self.idle_w + load * (self.compute_w - self.idle_w)


class RaplMeter:
    """Energy counters of Intel and AMD processors, all packages.

    Raises
    ------
    NoMeterError
        Where there are none, or they cannot be read (since 2020 Linux lets only root).
    """

    source = "rapl"

    def __init__(self, root: Path = SYS):
        # intel-rapl:0 is a package; intel-rapl:0:0 is a part of it; intel-rapl-mmio:0 counts the same once more
        self._zones = sorted(p for p in (root / _RAPL).glob("intel-rapl:*") if p.name.count(":") == 1)
        self._before_uj = [read_number(zone / "energy_uj") for zone in self._zones]
        if not self._zones:
            raise NoMeterError(f"no intel-rapl in {root / _RAPL}")
        if any(math.isnan(value) for value in self._before_uj):
            raise NoMeterError(f"{self._zones[0] / 'energy_uj'} cannot be read: allow it, or run as root")
        self._energy_j = 0.0

    def energy_j(self, now_s: float, load: float) -> float:
        """See `PowerMeter`. Counters start again at 0 after `max_energy_range_uj`; one that fails counts nothing."""
        for index, zone in enumerate(self._zones):
            value, before = read_number(zone / "energy_uj"), self._before_uj[index]
            if math.isnan(value):
                continue
            step = value - before
            if step < 0:
                around = read_number(zone / "max_energy_range_uj")
                step = step + around if around > before else 0.0
            self._energy_j += step * 1e-6
            self._before_uj[index] = value
        return self._energy_j


class InaMeter(_Integrating):
    """Power sensor of the board: hwmon as on Jetson Orin, or the ina3221x driver of older Jetsons.

    Where rails have names, the one that feeds the whole board is read; otherwise the first.

    Raises
    ------
    NoMeterError
        Where there is none that can be read.
    """

    source = "ina"

    def __init__(self, root: Path = SYS):
        super().__init__()
        rails = [*_hwmon_rails(root), *_ina3221x_rails(root)]
        readable = [rail for rail in rails if not math.isnan(_rail_w(rail))]
        if not readable:
            raise NoMeterError(f"no readable INA power sensor below {root}")
        self._rail = min(readable, key=lambda rail: rail[0] not in _WHOLE_BOARD)  # the first of the best

    def power_w(self, load: float) -> float:
        """Power now [W]; 0 for a reading that fails."""
        power_w = _rail_w(self._rail)
        return 0.0 if math.isnan(power_w) else power_w


_Rail = tuple[str, tuple[Path, ...], float]  # name, files whose product is the power, and its unit in watts


def _hwmon_rails(root: Path) -> list[_Rail]:
    rails: list[_Rail] = []
    for device in sorted((root / "class/hwmon").glob("hwmon*")):
        if not read_text(device / "name").startswith("ina"):
            continue
        for power in sorted(device.glob("power[0-9]*_input")):
            rails.append((read_text(device / power.name.replace("_input", "_label")), (power,), 1e-6))
        for voltage in sorted(device.glob("in[0-9]*_input")):
            current = device / voltage.name.replace("in", "curr", 1)
            if current.exists():
                label = read_text(device / voltage.name.replace("_input", "_label"))
                rails.append((label, (voltage, current), 1e-6))  # mV and mA
    return rails


def _ina3221x_rails(root: Path) -> list[_Rail]:
    files = sorted((root / "bus/i2c/drivers/ina3221x").glob("*/iio:device*/in_power[0-9]*_input"))
    return [
        (read_text(file.with_name(f"rail_name_{file.name[len('in_power') : -len('_input')]}")), (file,), 1e-3)
        for file in files
    ]


def _rail_w(rail: _Rail) -> float:
    return math.prod(read_number(path) for path in rail[1]) * rail[2]


def make_meter(source: str, idle_w: float, compute_w: float, root: Path = SYS) -> tuple[PowerMeter, str]:
    """The meter of a source, and what to say where it is not the one that was asked for ("" when it is).

    Parameters
    ----------
    source : str
        One of `SOURCES`; `auto` takes what the host has.
    idle_w, compute_w : float
        For the modelled one [W].
    """
    reasons = []
    for name, kind in (("rapl", RaplMeter), ("ina", InaMeter)):
        if source in (name, "auto"):
            try:
                return kind(root), ""
            except NoMeterError as error:
                reasons.append(str(error))
    text = f"power is modelled: {'; '.join(reasons)}" if reasons else ""
    return ModelledPower(idle_w, compute_w), text
