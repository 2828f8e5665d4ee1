"""Worker loads as rviz markers: one bar with its label for each worker, side by side."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from builtin_interfaces.msg import Duration, Time
from geometry_msgs.msg import Point, Pose, Vector3
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from coedge_ros.drawing.palette import Color, worker_color
from coedge_ros.drawing.views import format_joules, format_ms, format_percent

SPACING_M = 2.0  # between neighbours; labels are narrower
BAR_WIDTH_M, FULL_HEIGHT_M = 0.5, 1.0
LABEL_SIZE_M, LABEL_Z_M = 0.15, 1.4
NAME_LIMIT = 22  # characters of a name that fit in the spacing
LIFETIME_S = 5  # bars vanish from rviz when nobody publishes them any more
KINDS = ("bar", "outline", "base", "label")  # marker namespaces

STATE_COLORS: dict[str, Color] = {
    "loading": (246, 193, 68),
    "ready": (96, 150, 220),
    "active": (84, 190, 110),
    "resting": (170, 120, 220),
    "error": (224, 72, 66),
    "silent": (128, 128, 128),
}


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

    @property
    def label(self) -> str:
        """Text beside the bar; ASCII, because rviz's font has little more."""
        lines = [_short(self.name)]
        if self.state in ("silent", "error", "loading", "resting"):
            lines.append(self.state)
        if self.state in ("error", "resting") and self.message:
            lines.append(_short(self.message))
        lines.append(f"{self.rows} rows, {format_ms(self.compute_ms)}")
        lines.append(f"{format_joules(self.energy_j)} per frame, {format_percent(self.load)}")
        return "\n".join(lines)


def load_markers(bars: Iterable[WorkerBar], removed: Iterable[int], frame_id: str, stamp: Time) -> MarkerArray:
    """Markers for all workers that are shown, and the removal of those that no longer are.

    Parameters
    ----------
    bars : iterable of WorkerBar
        From left to right as seen from the negative x axis, centred on the origin.
    removed : iterable of int
        Indices of workers whose markers go.
    frame_id : str
        Frame that the markers are in.
    stamp : builtin_interfaces.msg.Time
        For all headers.
    """
    header = Header(stamp=stamp, frame_id=frame_id)
    array = MarkerArray()
    for index in removed:
        array.markers += [Marker(header=header, ns=kind, id=index, action=Marker.DELETE) for kind in KINDS]
    bars = list(bars)
    for slot, bar in enumerate(bars):
        y = ((len(bars) - 1) / 2 - slot) * SPACING_M
        load = 0.0 if bar.state == "silent" or not math.isfinite(bar.load) else min(max(bar.load, 0.0), 1.0)
        height = max(load * FULL_HEIGHT_M, 0.01)
        width = BAR_WIDTH_M
        state = STATE_COLORS[bar.state]
        owner = STATE_COLORS["silent"] if bar.state == "silent" else worker_color(bar.color)
        array.markers += [
            _box("bar", bar.index, header, y, height / 2, (width, width, height), _rgba(state)),
            _box(
                "outline", bar.index, header, y, FULL_HEIGHT_M / 2, (width * 1.02, width * 1.02, FULL_HEIGHT_M),
                _rgba((255, 255, 255), 0.12),
            ),
            _box("base", bar.index, header, y, -0.03, (width * 1.6, width * 1.6, 0.05), _rgba(owner)),
            _label(bar, header, y),
        ]  # fmt: skip
    return array


def _box(kind: str, index: int, header: Header, y: float, z: float, size, color: ColorRGBA) -> Marker:
    return Marker(
        header=header,
        ns=kind,
        id=index,
        type=Marker.CUBE,
        action=Marker.ADD,
        pose=Pose(position=Point(x=0.0, y=y, z=z)),
        scale=Vector3(x=size[0], y=size[1], z=size[2]),
        color=color,
        lifetime=Duration(sec=LIFETIME_S),
    )


def _label(bar: WorkerBar, header: Header, y: float) -> Marker:
    return Marker(
        header=header,
        ns="label",
        id=bar.index,
        type=Marker.TEXT_VIEW_FACING,
        action=Marker.ADD,
        pose=Pose(position=Point(x=0.0, y=y, z=LABEL_Z_M)),
        scale=Vector3(x=0.0, y=0.0, z=LABEL_SIZE_M),
        color=_rgba((160, 160, 160) if bar.state == "silent" else (245, 245, 245)),
        text=bar.label,
        lifetime=Duration(sec=LIFETIME_S),
    )


def _rgba(color: Color, opacity: float = 1.0) -> ColorRGBA:
    red, green, blue = (part / 255 for part in color)
    return ColorRGBA(r=red, g=green, b=blue, a=opacity)


def _short(text: str) -> str:
    text = text.replace("\n", " ")
    if len(text) <= NAME_LIMIT:
        return text
    half = (NAME_LIMIT - 2) // 2
    return f"{text[:half]}..{text[-half:]}"
