"""A picture of markers without rviz."""

import itertools

import numpy as np
import pytest
from builtin_interfaces.msg import Time

from coedge_ros.drawing.scene import BACKGROUND, Box, Camera, Label, Line, draw_scene
from coedge_ros.nodes.marker_layout import MarkerLayout
from coedge_ros.nodes.marker_picture import draw_markers
from coedge_ros.nodes.markers import STATE_COLORS, ManagerBox, WorkerBar, load_markers
from coedge_ros.spec.cluster_file import parse_cluster

PLACED = """
hosts: [{name: near, position: [0, 0]}, {name: moving, frame: robot}]
workers: [{name: worker_1, host: near}, {name: worker_2, host: moving}]
links: {default: {bytes_per_s: 1e6}}
manager: {host: near}
"""
MANAGER = ManagerBox("active", 3)


def picture_of(*bars, cluster=None, manager=MANAGER):
    layout = MarkerLayout("coedge", cluster)
    return draw_markers(load_markers(bars, [7], layout, Time(), manager).markers, "coedge")


def bar(index, state="active", **more):
    return WorkerBar(f"worker_{index}", index, index, state, 0.8, 75, 12.3, 0.41, "why it is so", **more)


def pixels_like(rgb, color, tolerance=0.12):
    """How many have the hue of a colour, however bright."""
    seen = rgb.reshape(-1, 3).astype(float)
    seen, wanted = seen[seen.max(axis=1) > 90], np.array(color, float)
    apart = seen / seen.max(axis=1, keepdims=True) - wanted / wanted.max()
    return int((np.abs(apart).max(axis=1) < tolerance).sum())


@pytest.mark.parametrize("workers,state", [(1, "active"), (2, "error"), (3, "slow"), (4, "resting")])
def test_all_labels_are_inside_and_none_covers_another(workers, state):
    bars = [bar(index, state, bytes_per_s=1.2e6, link_use=0.5) for index in range(1, workers + 1)]
    rendering = picture_of(*bars)
    height, width = rendering.rgb.shape[:2]
    assert {f"worker_{index}" for index in range(1, workers + 1)} <= {box.text for box in rendering.text_boxes}
    assert all(box.inside(width, height) for box in rendering.text_boxes)
    for one, other in itertools.combinations(rendering.text_boxes, 2):
        assert min(one.bottom, other.bottom) - max(one.top, other.top) < 4 or not one.overlaps(other), (one, other)


@pytest.mark.parametrize("state", ["active", "slow", "error"])
def test_bars_have_the_colour_of_their_state(state):
    rgb = picture_of(bar(0, state), bar(3, state), manager=None).rgb
    assert pixels_like(rgb, STATE_COLORS[state]) > 5000
    assert state == "active" or pixels_like(rgb, STATE_COLORS["active"]) < 500


def test_what_fades_comes_nearer_to_the_background():
    def contrast(opacity):
        rgb = picture_of(bar(0, "lost", opacity=opacity), manager=None).rgb.astype(int)
        return np.abs(rgb - np.array(BACKGROUND)).sum()

    assert contrast(1.0) > 1.15 * contrast(0.5) > 1.3 * contrast(0.15)


def test_a_line_that_is_used_more_is_wider():
    def red(use):
        return pixels_like(picture_of(bar(0, bytes_per_s=1.0, link_use=use)).rgb, (224, 72, 66))

    assert red(1.0) > 1000 > 100 > red(0.0)


def test_markers_in_other_frames_are_left_out_and_the_picture_says_so():
    rendering = picture_of(bar(1), bar(2), cluster=parse_cluster(PLACED))
    texts = {box.text for box in rendering.text_boxes}
    assert "worker_1" in texts and "worker_2" not in texts
    assert "4 markers in other frames than coedge are not shown" in texts


def test_an_empty_scene_is_a_picture_of_the_ground():
    rendering = draw_scene(())
    assert rendering.text_boxes == () and rendering.rgb.std() > 1


def test_what_is_nearer_covers_what_is_farther():
    def middle(*boxes):
        rgb = draw_scene((*boxes, Line((0, -1, 0), (0, 1, 0), 0.01, (0, 0, 0))), Camera(pitch=0.1)).rgb
        return tuple(rgb[rgb.shape[0] // 2, rgb.shape[1] // 2])

    near, far = Box((-1, 0, 0), (1, 1, 1), (255, 0, 0)), Box((1, 0, 0), (1, 1, 1), (0, 0, 255))
    assert middle(near, far) == middle(far, near) and middle(near, far)[0] > 100 > middle(near, far)[2]


def test_the_first_worker_is_on_the_left():
    boxes = {box.text: box for box in picture_of(bar(1), bar(2)).text_boxes}
    assert boxes["worker_1"].right < boxes["worker_2"].left


def test_a_label_is_as_large_as_it_says():
    def height(size):
        boxes = draw_scene((Label((0, 0, 0), "A", size, (255, 255, 255)), Box((0, 0, 0), (4, 4, 4), (9, 9, 9))))
        (box,) = boxes.text_boxes
        return box.bottom - box.top

    assert height(0.4) == pytest.approx(2 * height(0.2), rel=0.2)
