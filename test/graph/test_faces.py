"""Faces on real pictures with the trained weights, and what is made of maps whose answer is known."""

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from coedge_ros.errors import ModelError, UserError
from coedge_ros.graph import example_data
from coedge_ros.graph.detection import Detection, decoder_of, overlaps, suppress
from coedge_ros.graph.example_data import photo
from coedge_ros.graph.faces import MOST, WITNESSES, decode_faces, level_name, pyramid_sizes
from coedge_ros.graph.loading import load_model
from coedge_ros.graph.zoo.mtcnn import mtcnn_pnet

torch.set_num_threads(1)
ASTRONAUT = np.array([178, 65, 268, 178])  # from hairline to chin, from cheek to cheek, read off the 512 x 512 picture


@pytest.fixture(scope="module")
def loaded():
    return load_model("mtcnn_pnet", weights="faces")


def faces_on(loaded, name: str, threshold: float = 0.9) -> list[Detection]:
    rgb = cv2.cvtColor(cv2.imread(str(photo(name))), cv2.COLOR_BGR2RGB)
    height, width = loaded.input_size
    pixels = cv2.resize(rgb, (width, height)).astype(np.float32) / 255
    x = torch.from_numpy((pixels - np.float32(loaded.mean)) / np.float32(loaded.std)).permute(2, 0, 1)[None]
    with torch.no_grad():
        found = loaded.decoder(loaded.module(x), (height, width), threshold)
    return [face.scaled(rgb.shape[1] / width, rgb.shape[0] / height) for face in found]


def corners(face: Detection) -> np.ndarray:
    return np.array([face.x, face.y, face.x + face.width, face.y + face.height])


def test_the_face_of_the_astronaut_is_the_only_one_on_her_picture(loaded):
    (face,) = faces_on(loaded, "astronaut.png")
    assert face.label == "face" and 0.9 < face.score <= 1
    assert overlaps(ASTRONAUT, corners(face)[None])[0] > 0.7


@pytest.mark.parametrize("name", ["chelsea.png", "coffee.png", "motorcycle_left.png", "rocket.jpg"])
def test_pictures_without_a_face_have_none(loaded, name):
    assert faces_on(loaded, name) == []


def test_a_face_is_found_where_it_is_moved_to_and_twice_as_large(loaded):
    rgb = cv2.cvtColor(cv2.imread(str(photo("astronaut.png"))), cv2.COLOR_BGR2RGB)[40:240, 120:320]
    for size, left, top in ((100, 30, 150), (200, 90, 20)):
        scene = np.full((320, 320, 3), 128, np.uint8)
        scene[top : top + size, left : left + size] = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
        x = torch.from_numpy((scene.astype(np.float32) - 127.5) / 128).permute(2, 0, 1)[None]
        with torch.no_grad():
            best = loaded.decoder(loaded.module(x), (320, 320), 0.8)[0]
        expected = (ASTRONAUT - [120, 40, 120, 40]) * size / 200 + [left, top, left, top]
        assert overlaps(expected, corners(best)[None])[0] > 0.6


def test_a_threshold_of_one_keeps_nothing_and_a_lower_one_more(loaded):
    assert faces_on(loaded, "astronaut.png", 1.0) == []
    scores = [face.score for face in faces_on(loaded, "astronaut.png", 0.3)]
    assert len(scores) > 1 and scores == sorted(scores, reverse=True) and scores[-1] >= 0.3


def empty_levels(size, min_face=24):
    with torch.no_grad():
        maps = mtcnn_pnet(min_face).eval()(torch.zeros(1, 3, *size))
    return {name: torch.zeros_like(level) for name, level in maps.items()}


def test_a_position_becomes_the_square_that_it_sees_moved_by_what_the_network_says():
    size = (240, 320)
    levels = empty_levels(size)
    levels[level_name(0)][0, :, 7, 20] = torch.tensor([0.96, 0.25, -0.5, 0.0, 0.5])
    (face,) = decode_faces(levels, size, 0.01, 24)
    assert pyramid_sizes(*size, 24)[0] == (120, 160)
    # 12 pixels from (40, 14) on a level of half the size: 80, 28, 104, 52; moved by 24 times what the map says
    assert (face.x, face.y, face.width, face.height) == pytest.approx((86, 16, 18, 48), abs=1e-4)
    assert face.score == pytest.approx(0.96 / WITNESSES)


def test_proposals_that_agree_are_one_face_and_make_it_sure():
    size = (240, 320)
    levels = empty_levels(size)
    levels[level_name(2)][0, 0, 10:15, 12:17] = 0.9
    levels[level_name(2)][0, 0, 12, 14] = 0.95
    levels[level_name(2)][0, 0, 3, 30] = 0.99  # all by itself
    first, second = decode_faces(levels, size, 0.0, 24)[:2]
    assert first.score > 0.3 and second.score < first.score
    assert len(decode_faces(levels, size, 0.3, 24)) == 1


def test_maps_without_a_proposal_and_with_numbers_that_are_none_give_no_face():
    size = (64, 64)
    levels = empty_levels(size)
    assert decode_faces(levels, size, 0.0, 24) == []
    assert decode_faces({name: level * float("nan") for name, level in levels.items()}, size, 0.0, 24) == []
    levels[level_name(0)][0, :, 3, 3] = torch.tensor([0.9, 0.0, 0.0, -1.0, -1.0])  # right of its own right edge
    assert decode_faces(levels, size, 0.0, 24) == []


def test_where_everything_is_a_face_only_the_surest_proposals_are_looked_at():
    size = (480, 640)
    levels = {name: level.clone() for name, level in empty_levels(size).items()}
    levels[level_name(0)][0, 0] = 0.6
    levels[level_name(0)][0, 0, 50:55, 60:65] = 0.99
    best = decode_faces(levels, size, 0.0, 24)[0]
    assert best.score > 0.3 and (best.x, best.y) == (pytest.approx(248, abs=8), pytest.approx(208, abs=8))
    assert len(decode_faces(levels, size, 0.0, 24)) <= MOST


def test_no_box_is_kept_that_a_better_one_overlaps_too_much():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 10, 4]], float)
    assert suppress(boxes, np.array([0.8, 0.9, 0.1, 0.5]), 0.5).tolist() == [1, 3, 2]
    assert overlaps(boxes[0], boxes) == pytest.approx([1, 90 / 110, 0, 0.4])


@pytest.mark.parametrize("numbers", [(float("nan"), 0, 0, 1, 1), (0.5, 0, 0, 0, 1), (0.5, 0, float("inf"), 1, 1)])
def test_a_detection_is_a_box(numbers):
    with pytest.raises(ValueError, match="a detection"):
        Detection("thing", *numbers)


def test_what_is_called_like_a_decoder_and_is_none_is_refused():
    class Other(nn.Module):
        def __init__(self):
            super().__init__()
            self.decode_detections = nn.Conv2d(3, 3, 1)

    assert decoder_of(nn.ReLU()) is None
    with pytest.raises(ModelError, match="Other.decode_detections is a Conv2d: it must be a method"):
        decoder_of(Other())


def test_a_missing_package_of_weights_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(example_data.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install --no-deps facenet-pytorch"):
        load_model("mtcnn_pnet", weights="faces")


@pytest.mark.parametrize(("model", "weights"), [("mobilenet_v2", "faces"), ("mtcnn_pnet", "imagenet")])
def test_weights_of_another_task_are_refused_with_those_that_there_are(model, weights):
    with pytest.raises(
        ModelError, match=rf"no packaged weights '{weights}' for {model}, only for .*mtcnn_pnet \(faces\)"
    ):
        load_model(model, weights=weights)


def test_a_pyramid_that_has_no_level_says_so():
    with pytest.raises(ValueError, match="no face of 24 pixels fits into 20 x 300"):
        mtcnn_pnet()(torch.zeros(1, 3, 20, 300))
    with pytest.raises(ModelError, match="min_face must be at least 12"):
        load_model("mtcnn_pnet", arguments={"min_face": 8})
