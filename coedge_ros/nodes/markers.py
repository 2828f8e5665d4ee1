"""The cluster as rviz markers: a bar with its label for each worker, the manager, and a line for what flows between."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from coedge_ros.drawing.palette import Color, faded, worker_color
from coedge_ros.drawing.views import format_joules, format_ms, format_percent
from coedge_ros.nodes.marker_layout import MarkerLayout, Place

BAR_WIDTH_M, FULL_HEIGHT_M, PLATE_WIDTH_M = 0.5, 1.0, 0.8
MANAGER_WIDTH_M, MANAGER_HEIGHT_M = 0.5, 0.12
LABEL_SIZE_M, LABEL_GAP_M = 0.15, 0.12  # above what it belongs to
PLATE_HEIGHT_M, LEAST_BAR_M = 0.10, 0.05  # rviz lights fronts best, tops half as well: both need a front
LINK_Z_M = 0.02
THINNEST_M, THICKEST_M = 0.02, 0.12  # of a link: nothing used, and all that it carries
NAME_LIMIT = 22  # characters of a name that fit in the spacing
LIFETIME_S = 5  # bars vanish from rviz when nobody publishes them any more
KINDS = ("bar", "outline", "base", "label", "link")  # marker namespaces of a worker; its number is the id
MANAGER_KINDS = ("manager", "manager_label")

STATE_COLORS: dict[str, Color] = {
    "loading": (246, 193, 68),
    "ready": (96, 150, 220),
    "active": (84, 190, 110),
    "slow": (240, 128, 48),
    "resting": (170, 120, 220),
    "inactive": (150, 150, 170),
    "error": (224, 72, 66),
    "lost": (128, 128, 128),
}
MANAGER_COLOR: Color = (225, 228, 235)
LINK_COLORS: tuple[Color, ...] = ((84, 190, 110), (240, 205, 60), (224, 72, 66))  # nothing used, half, all
UNKNOWN_LINK: Color = (128, 128, 128)


@dataclass(frozen=True, slots=True)
class WorkerBar:
    """What the markers of one worker show. NaN stands for "not known".

    Attributes
    ----------
    name : str
        Its name.
    index : int
        A number of its own: the marker id.
    color : int
        Index into the palette.
    state : str
        A key of `STATE_COLORS`.
    load : float
        Busy fraction [0, 1].
    rows : int
        Rows of the model's input.
    compute_ms, energy_j : float
        For its last frame [ms], [J].
    message : str
        Shown for a worker in error or at rest.
    host : str
        As the worker names it.
    opacity : float
        Of all of its markers, [0, 1].
    bytes_per_s : float
        Fragment bytes in and out of it [bytes/s].
    link_use : float
        Part of what its link carries, see `link_use.link_use`.
    """

    name: str
    index: int
    color: int
    state: str
    load: float = math.nan
    rows: int = 0
    compute_ms: float = math.nan
    energy_j: float = math.nan
    message: str = ""
    host: str = ""
    opacity: float = 1.0
    bytes_per_s: float = math.nan
    link_use: float = math.nan

    @property
    def label(self) -> str:
        """Text beside the bar; ASCII, because rviz's font has little more."""
        lines = [_short(self.name)]
        if self.state in ("slow", "lost", "error", "loading", "resting", "inactive"):
            lines.append(self.state)
        if self.state == "lost":
            return "\n".join(lines)  # its figures are no longer true
        if self.state in ("error", "resting") and self.message:
            lines.append(_short(self.message))
        lines.append(f"{self.rows} rows, {format_ms(self.compute_ms)}")
        lines.append(f"{format_joules(self.energy_j)} per frame, {format_percent(self.load)}")
        if math.isfinite(self.bytes_per_s):
            use = f", link {format_percent(self.link_use)}" if math.isfinite(self.link_use) else ""
            lines.append(f"{format_rate(self.bytes_per_s)}{use}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class ManagerBox:
    """What the markers of the manager show: its state in one word, the plan in force (0: none), how faint it is."""

    state: str
    epoch: int = 0
    opacity: float = 1.0
    is_gone: bool = False

    @property
    def label(self) -> str:
        """Text above the box."""
        return f"manager\n{self.state}{f', plan {self.epoch}' if self.epoch and self.state != 'lost' else ''}"


def load_markers(
    bars: Iterable[WorkerBar],
    removed: Iterable[int],
    layout: MarkerLayout,
    stamp: Time,
    manager: ManagerBox | None = None,
) -> MarkerArray:
    """Markers for all workers that are shown, and the removal of those that no longer are.

    Parameters
    ----------
    bars : iterable of WorkerBar
        From left to right as seen from the negative x axis.
    removed : iterable of int
        Indices of workers whose markers go.
    layout : MarkerLayout
        Where they stand.
    stamp : builtin_interfaces.msg.Time
        For all headers.
    manager : ManagerBox, optional
        None: no marker for it, and no lines.
    """
    array = MarkerArray()
    for index in removed:
        array.markers += [_gone(kind, index, stamp) for kind in KINDS]
    bars = list(bars)
    places = layout.places((bar.name, bar.host) for bar in bars)
    centre = layout.manager()
    for bar in bars:
        array.markers += _worker(bar, _Pen(places[bar.name], stamp, bar.index, bar.opacity))
    if manager is None:
        return array
    pen = _Pen(centre, stamp, 0, manager.opacity)
    array.markers += [_gone(kind, 0, stamp) for kind in MANAGER_KINDS] if manager.is_gone else _manager(manager, pen)
    for bar in bars:
        is_seen = bar.bytes_per_s > 0 and not manager.is_gone and places[bar.name].frame_id == centre.frame_id
        pen = _Pen(places[bar.name], stamp, bar.index, min(bar.opacity, manager.opacity))
        array.markers.append(_link(bar, pen, centre) if is_seen else _gone("link", bar.index, stamp))
    return array


def _worker(bar: WorkerBar, pen: _Pen) -> list[Marker]:
    load = 0.0 if bar.state == "lost" or not math.isfinite(bar.load) else min(max(bar.load, 0.0), 1.0)
    height = max(load * FULL_HEIGHT_M, LEAST_BAR_M)
    width = BAR_WIDTH_M
    owner = STATE_COLORS["lost"] if bar.state == "lost" else worker_color(bar.color)
    ink = (215, 215, 215) if bar.state == "lost" else (245, 245, 245)
    return [
        pen.box("bar", height / 2, (width, width, height), STATE_COLORS[bar.state]),
        pen.box("outline", FULL_HEIGHT_M / 2, (width * 1.02, width * 1.02, FULL_HEIGHT_M), (255, 255, 255), 0.12),
        pen.box("base", -PLATE_HEIGHT_M / 2 - 0.005, (PLATE_WIDTH_M, PLATE_WIDTH_M, PLATE_HEIGHT_M), owner),
        pen.text("label", FULL_HEIGHT_M, bar.label, ink),
    ]


def _manager(manager: ManagerBox, pen: _Pen) -> list[Marker]:
    color = STATE_COLORS["lost" if manager.state == "lost" else "error"]
    color = color if manager.state in ("lost", "error", "alone") else MANAGER_COLOR
    width, height = MANAGER_WIDTH_M, MANAGER_HEIGHT_M
    return [
        pen.box("manager", height / 2, (width, width, height), color),
        # In front of it, because lines begin behind it.
        pen.text("manager_label", -LABEL_GAP_M, manager.label, (245, 245, 245), x=-2 * width),
    ]


def _link(bar: WorkerBar, pen: _Pen, manager: Place) -> Marker:
    use = min(max(bar.link_use, 0.0), 1.0) if math.isfinite(bar.link_use) else 0.0
    line = pen.marker("link", Marker.LINE_LIST)
    line.points = [
        _towards(manager, pen.place, MANAGER_WIDTH_M / 2),
        _towards(pen.place, manager, PLATE_WIDTH_M / 2),
    ]
    line.scale = Vector3(x=THINNEST_M + use * (THICKEST_M - THINNEST_M), y=0.0, z=0.0)
    line.color = _rgba(_link_color(use) if math.isfinite(bar.link_use) else UNKNOWN_LINK, pen.opacity)
    return line


def _towards(place: Place, other: Place, shift_m: float) -> Point:
    """A point beside a place, on the way to another one: lines end where boxes begin, which are square."""
    reach_m = max(abs(other.x - place.x), abs(other.y - place.y))
    part = min(shift_m / reach_m, 0.5) if reach_m else 0.0
    x, y, z = (a + part * (b - a) for a, b in ((place.x, other.x), (place.y, other.y), (place.z, other.z)))
    return Point(x=x, y=y, z=z + LINK_Z_M)


def _link_color(use: float) -> Color:
    """Between the neighbouring two of `LINK_COLORS`."""
    step = min(int(use * (len(LINK_COLORS) - 1)), len(LINK_COLORS) - 2)
    return faded(LINK_COLORS[step + 1], LINK_COLORS[step], use * (len(LINK_COLORS) - 1) - step)


@dataclass(frozen=True, slots=True)
class _Pen:
    """Makes the markers of one participant: their place, number and opacity."""

    place: Place
    stamp: Time
    index: int
    opacity: float

    def marker(self, kind: str, shape: int) -> Marker:
        return Marker(
            header=Header(stamp=self.stamp, frame_id=self.place.frame_id),
            ns=kind,
            id=self.index,
            type=shape,
            action=Marker.ADD,
            frame_locked=True,  # rviz then moves it with its frame at every picture, and asks for the newest transform
            lifetime=Duration(sec=LIFETIME_S),
        )

    def box(self, kind: str, z: float, size: tuple[float, float, float], color: Color, opacity: float = 1.0) -> Marker:
        """A box whose centre is `z` above the ground."""
        box = self.marker(kind, Marker.CUBE)
        box.pose = self._pose(z)
        box.scale = Vector3(x=size[0], y=size[1], z=size[2])
        box.color = _rgba(color, opacity * self.opacity)
        return box

    def text(self, kind: str, above_z: float, text: str, color: Color, x: float = 0.0) -> Marker:
        """A text that stands on `above_z`: rviz centres it about its position."""
        marker = self.marker(kind, Marker.TEXT_VIEW_FACING)
        marker.pose = self._pose(above_z + LABEL_GAP_M + (text.count("\n") + 1) * LABEL_SIZE_M / 2, x)
        # x is the width of a space, doubled, for rviz2 that knows it (jazzy 14.1.5 and later); its own is half a metre
        marker.scale = Vector3(x=LABEL_SIZE_M / 2, y=0.0, z=LABEL_SIZE_M)
        marker.color = _rgba(color, self.opacity)
        marker.text = text
        return marker

    def _pose(self, z: float, x: float = 0.0) -> Pose:
        return Pose(position=Point(x=self.place.x + x, y=self.place.y, z=self.place.z + z))


def _gone(kind: str, index: int, stamp: Time) -> Marker:
    return Marker(header=Header(stamp=stamp), ns=kind, id=index, action=Marker.DELETE)


def format_rate(bytes_per_s: float) -> str:
    """Bytes per second with two or three digits."""
    for unit, size in (("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)):
        if bytes_per_s >= 0.995 * size:
            value = bytes_per_s / size
            return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"
    return f"{bytes_per_s:.0f} B/s"


def _rgba(color: Color, opacity: float = 1.0) -> ColorRGBA:
    red, green, blue = (part / 255 for part in color)
    return ColorRGBA(r=red, g=green, b=blue, a=opacity)


def _short(text: str) -> str:
    text = text.replace("\n", " ")
    if len(text) <= NAME_LIMIT:
        return text
    half = (NAME_LIMIT - 2) // 2
    return f"{text[:half]}..{text[-half:]}"
