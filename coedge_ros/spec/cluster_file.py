"""Read a cluster file.

YAML that a person writes, checked so that a message names the file, the key and what is legal.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from math import inf, isfinite
from pathlib import Path
from typing import Any

import yaml

from coedge_ros.errors import UserError
from coedge_ros.spec.cluster import WITHIN_HOST, ClusterSpec, Host, Link, MeasuredTimes, Power, StageTimes, WorkerSpec

_REQUIRED = object()
NETWORKS = ("wired", "wireless")


def load_cluster(path: str | Path) -> ClusterSpec:
    """Read and check a cluster file.

    Raises
    ------
    UserError
        If the file cannot be read or says something illegal.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cluster file {path} cannot be read: {error}") from error
    return parse_cluster(text, str(path))


def parse_cluster(text: str, source: str = "cluster") -> ClusterSpec:
    """Check the text of a cluster file; `source` names it in messages.

    Raises
    ------
    UserError
        If it is not YAML or says something illegal.
    """
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{source} is not YAML: {error}") from error
    top = _Section(values, source, "")
    hosts = tuple(_host(section) for section in top.sections("hosts"))
    workers = tuple(_worker(section) for section in top.sections("workers"))
    links, manager, camera = top.section("links"), top.section("manager", {}), top.section("camera", {})
    network = top.text("network", NETWORKS[0])
    if network not in NETWORKS:
        top.fail("network", f"is {network!r}, not one of {', '.join(NETWORKS)}")
    if not workers:
        raise UserError(f"{source}: workers: none; name at least one")
    manager_host = manager.text("host", hosts[0].name if hosts else "")
    cluster = ClusterSpec(
        hosts=hosts,
        workers=workers,
        default_link=_link(links.section("default")),
        within_host=_link(links.section("within_host"), Link(0.0, inf)) if "within_host" in links else WITHIN_HOST,
        links=_pairs(links),
        manager_host=manager_host,
        manager_transmit_w=manager.number("transmit_w", 0.0, minimum=0),
        expected=manager.texts("expected", tuple(worker.name for worker in workers)),
        network=network,
        camera_host=camera.text("host", manager_host),
        description=top.text("description", ""),
        source=source,
    )
    for section in (top, links, manager, camera):
        section.refuse_unknown()
    return cluster


def _host(section: _Section) -> Host:
    host = Host(
        name=section.text("name"),
        cores=section.number("cores", 0.0, above=0),
        idle_w=section.number("idle_w", 0.0, minimum=0),
        position=_position(section),
        frame=_frame(section),
    )
    section.refuse_unknown()
    return host


def _position(section: _Section) -> tuple[float, float, float] | None:
    where = section.numbers("position", default=None)
    if where is None:
        return None
    if len(where) not in (2, 3):
        section.fail("position", f"must be [x, y] or [x, y, z] in metres, not {len(where)} numbers")
    return (*where, 0.0)[:3]


def _frame(section: _Section) -> str:
    frame = section.text("frame", "")
    if frame.startswith("/") or any(letter.isspace() for letter in frame):
        section.fail("frame", f"is {frame!r}; tf frames have no leading slash and no spaces, such as robot_1/base_link")
    return frame


def _worker(section: _Section) -> WorkerSpec:
    power = section.section("power_w", {})
    worker = WorkerSpec(
        name=section.text("name"),
        host=section.text("host"),
        threads=section.integer("threads", 1, minimum=1),
        device=section.text("device", "cpu"),
        speed_factor=section.number("speed_factor", 1.0, above=0),
        power=Power(*(power.number(key, 0.0, minimum=0) for key in ("idle", "compute", "transmit"))),
        macs_per_s=section.number("macs_per_s", 0.0, above=0),
        stage_s=section.number("stage_s", 0.0, minimum=0),
        message_s=section.number("message_s", 0.0, minimum=0),
        memory_bytes=section.integer("memory_bytes", 0, minimum=1),
        energy_cap_j=section.number("energy_cap_j", inf, above=0),
        duty_cap=section.number("duty_cap", 1.0, above=0, maximum=1),
        measured=tuple(_measured(entry) for entry in section.sections("measured", [])),
    )
    power.refuse_unknown()
    section.refuse_unknown()
    return worker


def _measured(section: _Section) -> MeasuredTimes:
    size = section.numbers("input", above=0)
    if len(size) != 2:
        section.fail("input", "must be [height, width]")
    stages = tuple(_stage_times(entry) for entry in section.sections("stages"))
    measured = MeasuredTimes(section.text("model"), int(size[0]), int(size[1]), stages)
    section.refuse_unknown()
    return measured


def _stage_times(section: _Section) -> StageTimes:
    rows, seconds = section.numbers("rows", above=0), section.numbers("seconds", above=0)
    if len(rows) != len(seconds) or not rows:
        section.fail("seconds", f"has {len(seconds)} values and rows has {len(rows)}; give one time per row count")
    if list(rows) != sorted(set(rows)):
        section.fail("rows", "must ascend")
    times = StageTimes(section.text("first"), section.text("last"), tuple(int(r) for r in rows), seconds)
    section.refuse_unknown()
    return times


def _link(section: _Section, default: Link | None = None) -> Link:
    alpha = section.number("alpha_s", default.alpha_s if default else 0.0, minimum=0)
    rate = section.number("bytes_per_s", default.bytes_per_s if default else _REQUIRED, above=0)
    section.refuse_unknown()
    return Link(alpha, rate)


def _pairs(links: _Section) -> dict[tuple[str, str], Link]:
    found: dict[tuple[str, str], Link] = {}
    for section in links.sections("pairs", []):
        source, target = section.text("from"), section.text("to")
        both = section.boolean("both_ways", True)
        alpha = section.number("alpha_s", 0.0, minimum=0)
        link = Link(alpha, section.number("bytes_per_s", minimum=0))
        section.refuse_unknown()
        if source == target:
            section.fail("to", f"is the same host, {target!r}; use within_host for that")
        for pair in [(source, target)] + [(target, source)] * both:
            if pair in found:
                section.fail("from", f"{pair[0]} to {pair[1]} is there twice (both_ways: false gives one direction)")
            found[pair] = link
    return found


class _Section:
    """A mapping of the file, which knows where it is and which of its keys were read."""

    def __init__(self, values: Any, source: str, path: str):
        self.source, self.path, self.read = source, path, []
        if not isinstance(values, Mapping):
            raise UserError(f"{source}: {path or 'the file'} must be a mapping of keys to values, not {values!r}")
        self.values = values

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def fail(self, key: str, problem: str) -> None:
        """Raise for a key."""
        raise UserError(f"{self.source}: {self._at(key)} {problem}")

    def refuse_unknown(self) -> None:
        """Raise for a key that nothing has asked for."""
        for key in self.values:
            if key not in self.read:
                near = difflib.get_close_matches(str(key), self.read, n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                where = f"{self.path}: " if self.path else ""
                raise UserError(
                    f"{self.source}: {where}unknown key {key!r}{hint} Legal are: {', '.join(sorted(self.read))}"
                )

    def _at(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _get(self, key: str, default: Any) -> Any:
        self.read.append(key)
        value = self.values.get(key)
        if value is None:
            if default is _REQUIRED:
                self.fail(key, "is missing")
            return default
        return value

    def section(self, key: str, default: Any = _REQUIRED) -> _Section:
        return _Section(self._get(key, default), self.source, self._at(key))

    def sections(self, key: str, default: Any = _REQUIRED) -> list[_Section]:
        values = self._get(key, default)
        if not isinstance(values, list):
            self.fail(key, f"must be a list, not {values!r}")
        return [_Section(value, self.source, f"{self._at(key)}[{i}]") for i, value in enumerate(values)]

    def text(self, key: str, default: Any = _REQUIRED) -> str:
        value = self._get(key, default)
        if not isinstance(value, str) or (default is _REQUIRED and not value):
            self.fail(key, f"must be a text, not {value!r}")
        return value

    def texts(self, key: str, default: Any = _REQUIRED) -> tuple[str, ...]:
        values = self._get(key, default)
        if not isinstance(values, (list, tuple)) or not all(isinstance(value, str) for value in values):
            self.fail(key, f"must be a list of texts, not {values!r}")
        return tuple(values)

    def boolean(self, key: str, default: bool) -> bool:
        value = self._get(key, default)
        if not isinstance(value, bool):
            self.fail(key, f"must be true or false, not {value!r}")
        return value

    def number(self, key: str, default: Any = _REQUIRED, *, minimum=-inf, above=-inf, maximum=inf) -> float:
        value = self._get(key, default)
        return default if self.values.get(key) is None else self._number(key, value, minimum, above, maximum)

    def integer(self, key: str, default: Any = _REQUIRED, *, minimum=-inf) -> int:
        value = self.number(key, default, minimum=minimum)
        if value != int(value):
            self.fail(key, f"must be a whole number, not {value!r}")
        return int(value)

    def numbers(self, key: str, default: Any = _REQUIRED, *, above=-inf) -> Any:
        """Numbers of a list; `default` as it is when the key is left out."""
        values = self._get(key, default)
        if self.values.get(key) is None:
            return default
        if not isinstance(values, list):
            self.fail(key, f"must be a list of numbers, not {values!r}")
        return tuple(self._number(f"{key}[{i}]", value, -inf, above, inf) for i, value in enumerate(values))

    def _number(self, key: str, value: Any, minimum: float, above: float, maximum: float) -> float:
        try:
            # YAML 1.1 reads `1e9` as a text; people write it and mean the number
            number = float(value) if not isinstance(value, bool) else float("nan")
        except (TypeError, ValueError):
            number = float("nan")
        if not isfinite(number):
            self.fail(key, f"must be a number, not {value!r}")
        for holds, rule in (
            (number >= minimum, f"at least {minimum:g}"),
            (number > above, f"above {above:g}"),
            (number <= maximum, f"at most {maximum:g}"),
        ):
            if not holds:
                self.fail(key, f"must be {rule}, not {number:g}")
        return number
