"""A picture of a MarkerArray without rviz: its cubes, lines and texts in perspective."""

from __future__ import annotations

from collections.abc import Iterable

from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker

from coedge_ros.drawing.palette import Color
from coedge_ros.drawing.scene import FROM_THE_FRONT, Box, Camera, Label, Line, draw_scene
from coedge_ros.drawing.text import Rendering


def draw_markers(
    markers: Iterable[Marker], frame_id: str, camera: Camera = FROM_THE_FRONT, note: str = ""
) -> Rendering:
    """Draw markers roughly as rviz shows them, with `frame_id` as its fixed frame.

    There is no tf here: markers in other frames are left out, and the picture says how many. Of the kinds of markers it
    knows cubes that are not turned, lists of lines in one colour, and texts.

    Parameters
    ----------
    markers : iterable of visualization_msgs.msg.Marker
        Those of a `load_markers` message, for instance.
    frame_id : str
        Frame of the picture.
    camera : Camera
        Where it is seen from.
    note : str
        In small letters below.
    """
    shown = [marker for marker in markers if marker.action == Marker.ADD]
    here = [marker for marker in shown if marker.header.frame_id == frame_id]
    if missing := len(shown) - len(here):
        note += f"{'; ' if note else ''}{missing} markers in other frames than {frame_id} are not shown"
    return draw_scene(tuple(thing for marker in here for thing in _things(marker)), camera, note)


def _things(marker: Marker) -> list[Box | Line | Label]:
    color, opacity = _color(marker.color), marker.color.a
    at = marker.pose.position
    centre = (at.x, at.y, at.z)
    if marker.type == Marker.CUBE:
        return [Box(centre, (marker.scale.x, marker.scale.y, marker.scale.z), color, opacity)]
    if marker.type == Marker.TEXT_VIEW_FACING:
        return [Label(centre, marker.text, marker.scale.z, color, opacity)]
    if marker.type == Marker.LINE_LIST:
        ends = [(point.x + at.x, point.y + at.y, point.z + at.z) for point in marker.points]
        return [Line(*pair, marker.scale.x, color, opacity) for pair in zip(ends[::2], ends[1::2], strict=False)]
    return []


def _color(color: ColorRGBA) -> Color:
    return tuple(round(255 * part) for part in (color.r, color.g, color.b))
