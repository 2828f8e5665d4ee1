"""Boxes, lines and texts in space, drawn in perspective as a 3D viewer would roughly show them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from coedge_ros.drawing import figures
from coedge_ros.drawing.palette import Color
from coedge_ros.drawing.text import Rendering

Point = tuple[float, float, float]
WIDTH_IN, HEIGHT_IN = 9.0, 5.2
BACKGROUND: Color = (36, 40, 48)  # as config/coedge.rviz has it
GRID_COLOR: Color = (160, 160, 164)
GRID_OPACITY, GRID_M, GRID_CELLS, GRID_Z_M = 0.25, 1.0, 12, -0.06
NEAREST_M = 0.1  # what is nearer to the camera, or behind it, is not drawn
SEGMENTS = 24  # of a line, each with its own depth
MARGIN = 0.06  # around all that is shown, part of the picture
_LIGHT = np.array([-0.72, 0.36, 0.59])  # towards it
# Corners of a box as signs of its half sizes, in turns about each side, seen from outside.
_SIDES = (
    ((1, -1, -1), (1, 1, -1), (1, 1, 1), (1, -1, 1)),
    ((-1, 1, -1), (-1, -1, -1), (-1, -1, 1), (-1, 1, 1)),
    ((1, 1, -1), (-1, 1, -1), (-1, 1, 1), (1, 1, 1)),
    ((-1, -1, -1), (1, -1, -1), (1, -1, 1), (-1, -1, 1)),
    ((-1, -1, 1), (1, -1, 1), (1, 1, 1), (-1, 1, 1)),
    ((-1, 1, -1), (1, 1, -1), (1, -1, -1), (-1, -1, -1)),
)


@dataclass(frozen=True, slots=True)
class Box:
    """A box along the axes: centre and size [m]; opacity in [0, 1]."""

    centre: Point
    size: Point
    color: Color
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is as wide from everywhere [m]."""

    start: Point
    stop: Point
    width: float
    color: Color
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Label:
    """A text that faces the viewer, centred about a point; `size` is the height of a line [m]."""

    centre: Point
    text: str
    size: float
    color: Color
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Camera:
    """Where it is seen from, as an orbit about the middle of what is shown.

    Attributes
    ----------
    yaw : float
        Direction from the middle to the camera about the z axis [rad]; pi is the negative x axis.
    pitch : float
        Above the ground [rad].
    field : float
        Angle of view across the picture [rad].
    """

    yaw: float = math.pi
    pitch: float = 0.45
    field: float = 0.8


FROM_THE_FRONT = Camera()


def draw_scene(things: tuple[Box | Line | Label, ...], camera: Camera = FROM_THE_FRONT, note: str = "") -> Rendering:
    """Draw a scene, as near as all of it fits.

    Approximations: what is nearer covers what is farther by the middles of sides and of pieces of lines, light comes
    from one direction, and labels are never covered.

    Parameters
    ----------
    things : tuple of Box, Line and Label
        May be empty.
    camera : Camera
        Direction; the distance follows from what is to be seen.
    note : str
        In small letters below.
    """
    figure = figures.new_figure(WIDTH_IN, HEIGHT_IN)
    figure.set_facecolor(figures.as_hex(BACKGROUND))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(0, WIDTH_IN)
    axes.set_ylim(0, HEIGHT_IN)
    view = _fitted(things, camera)
    _draw_grid(axes, view)
    pieces = [piece for thing in things for piece in _pieces(thing, view)]
    for order, (_, artist) in enumerate(sorted(pieces, key=lambda piece: -piece[0])):
        artist.set_zorder(2 + order)
        axes.add_collection(artist)
    for thing in things:
        if isinstance(thing, Label):
            _draw_label(axes, thing, view, 3 + len(pieces))
    if note:
        axes.text(0.15, 0.12, note, fontsize=8, color="#a4abb8", va="bottom", parse_math=False, zorder=1e6)
    return figures.render(figure)


class _View:
    """Projects points: from metres to inches of the picture, with their distance from the camera [m]."""

    def __init__(self, camera: Camera, middle: np.ndarray, distance: float):
        cos_p, sin_p = math.cos(camera.pitch), math.sin(camera.pitch)
        towards = np.array([cos_p * math.cos(camera.yaw), cos_p * math.sin(camera.yaw), sin_p])
        self.eye = middle + distance * towards
        right = np.array([-math.sin(camera.yaw), math.cos(camera.yaw), 0.0])
        self._axes = np.stack([right, np.cross(towards, right), -towards])
        self._focal_in = WIDTH_IN / 2 / math.tan(camera.field / 2)

    def depth(self, points) -> np.ndarray:
        """Distances along the line of sight."""
        return (np.asarray(points, float) - self.eye) @ self._axes[2]

    def inches(self, points) -> np.ndarray:
        """(N, 2) positions in the picture."""
        seen = (np.asarray(points, float) - self.eye) @ self._axes.T
        middle = np.array([WIDTH_IN / 2, HEIGHT_IN / 2])
        return middle + self._focal_in * seen[:, :2] / np.maximum(seen[:, 2:], NEAREST_M)

    def scale(self, point: Point) -> float:
        """Inches of a metre there."""
        return self._focal_in / max(float(self.depth([point])[0]), NEAREST_M)


def _fitted(things, camera: Camera) -> _View:
    """The view from the smallest distance at which everything is within the margins, labels included."""
    points = [corner for thing in things for corner in _extent(thing, camera)]
    points = np.array(points or [(-1.0, -1.0, 0.0), (1.0, 1.0, 1.0)])
    middle = (points.min(axis=0) + points.max(axis=0)) / 2
    room = np.array([WIDTH_IN, HEIGHT_IN]) * (1 - 2 * MARGIN)
    view = None
    for _ in range(4):  # the middle of the picture is not that of the space, because near things are larger
        near, far = NEAREST_M, 1e5
        for _ in range(40):
            distance = math.sqrt(near * far)
            view = _View(camera, middle, distance)
            extent = np.ptp(view.inches(points), axis=0)
            fits = bool((view.depth(points) > NEAREST_M).all() and (extent <= room).all())
            near, far = (near, distance) if fits else (distance, far)
        view = _View(camera, middle, far)
        seen = view.inches(points)
        off = (seen.min(axis=0) + seen.max(axis=0)) / 2 - np.array([WIDTH_IN, HEIGHT_IN]) / 2
        middle = middle + (off / view.scale(tuple(middle))) @ view._axes[:2]
    return view


def _extent(thing, camera: Camera) -> list[Point]:
    """Points that a thing reaches to."""
    if isinstance(thing, Line):
        return [thing.start, thing.stop]
    if isinstance(thing, Box):
        return [tuple(corner) for side in _corners(thing)[:2] for corner in side]
    lines = thing.text.split("\n")
    half_width = 0.30 * thing.size * max(map(len, lines))
    half_height = 0.6 * thing.size * len(lines)
    right = (-math.sin(camera.yaw), math.cos(camera.yaw))
    x, y, z = thing.centre
    return [
        (x + sign * half_width * right[0], y + sign * half_width * right[1], z + up * half_height)
        for sign in (-1, 1)
        for up in (-1, 1)
    ]


def _corners(box: Box) -> list[np.ndarray]:
    """Six sides of four corners."""
    return [np.array(box.centre) + np.array(side) * np.array(box.size) / 2 for side in _SIDES]


def _pieces(thing, view: _View):
    """(depth, artist) of what can cover other things."""
    if isinstance(thing, Box):
        for side in _corners(thing):
            normal = np.cross(side[1] - side[0], side[2] - side[1])
            middle = side.mean(axis=0)
            if normal @ (view.eye - middle) <= 0 or view.depth(side).min() <= NEAREST_M:
                continue
            shade = 0.62 + 0.38 * max(0.0, float(normal @ _LIGHT) / float(np.linalg.norm(normal)))
            color = [shade * part / 255 for part in thing.color]
            yield (
                float(np.linalg.norm(view.eye - middle)),
                PolyCollection([view.inches(side)], facecolors=[(*color, thing.opacity)], linewidths=0),
            )
    elif isinstance(thing, Line):
        steps = np.linspace(0, 1, SEGMENTS + 1)[:, None]
        points = (1 - steps) * np.array(thing.start) + steps * np.array(thing.stop)
        color = [part / 255 for part in thing.color]
        overlap = 0.04 * (points[1] - points[0])  # against seams
        for index in range(SEGMENTS):
            middle = (points[index] + points[index + 1]) / 2
            if view.depth(points[index : index + 2]).min() <= NEAREST_M:
                continue
            width_pt = max(0.8, 72 * thing.width * view.scale(tuple(middle)))
            yield (
                float(np.linalg.norm(view.eye - middle)),
                LineCollection(
                    [view.inches([points[index] - overlap, points[index + 1] + overlap])],
                    colors=[(*color, thing.opacity)],
                    linewidths=width_pt,
                    capstyle="butt",
                ),
            )


def _draw_label(axes, label: Label, view: _View, order: int) -> None:
    if view.depth([label.centre])[0] <= NEAREST_M:
        return
    ((x, y),) = view.inches([label.centre])
    size_pt = min(max(72 * 0.72 * label.size * view.scale(label.centre), 5.0), 24.0)  # letters, without the gap
    lines, line_in = label.text.split("\n"), size_pt / 72 / 0.72
    for number, line in enumerate(lines):
        baseline = y + ((len(lines) - 1) / 2 - number) * line_in - 0.35 * size_pt / 72
        axes.text(
            x, baseline, line, fontsize=size_pt, color=figures.as_hex(label.color), alpha=label.opacity, ha="center",
            va="baseline", zorder=order, parse_math=False,
        )  # fmt: skip


def _draw_grid(axes, view: _View) -> None:
    half = GRID_M * GRID_CELLS / 2
    lines = []
    for step in np.linspace(-half, half, GRID_CELLS + 1):
        for ends in (
            ((step, -half, GRID_Z_M), (step, half, GRID_Z_M)),
            ((-half, step, GRID_Z_M), (half, step, GRID_Z_M)),
        ):
            start, stop = np.array(ends[0]), np.array(ends[1])
            points = start + np.linspace(0, 1, 49)[:, None] * (stop - start)
            points = points[view.depth(points) > NEAREST_M]
            if len(points) > 1:
                lines.append(view.inches(points))
    color = (*(part / 255 for part in GRID_COLOR), GRID_OPACITY)
    axes.add_collection(LineCollection(lines, colors=[color], linewidths=0.7, zorder=1))
