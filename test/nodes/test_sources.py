"""Where pictures come from, without ROS."""

import threading

import cv2
import numpy as np
import pytest

from coedge_ros.errors import UserError
from coedge_ros.nodes import sources
from coedge_ros.nodes.sources import open_source, play
from coedge_ros.nodes.webcam import Webcam


def save(path, value, height=12, width=16):
    """A grey picture as a file; png keeps the value exactly."""
    assert cv2.imwrite(str(path), np.full((height, width, 3), value, np.uint8))
    return path


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for index in range(5):
        writer.write(np.full((48, 64, 3), 50 * index, np.uint8))
    writer.release()
    return path


def names(source, loop=False, max_frames=0):
    return [frame.name for frame in play(source, loop, max_frames)]


def test_a_folder_gives_its_pictures_in_the_order_of_their_names(tmp_path):
    for index, name in enumerate(["b.png", "a.jpg", "c.bmp"]):
        save(tmp_path / name, index)
    (tmp_path / "notes.txt").write_text("not a picture")
    assert names(open_source(str(tmp_path), pytest.fail)) == ["a.jpg", "b.png", "c.bmp"]


def test_pixels_come_as_rgb(tmp_path):
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[..., 0] = 200  # blue, because OpenCV writes BGR
    cv2.imwrite(str(tmp_path / "blue.png"), picture)
    (frame,) = play(open_source(str(tmp_path / "blue.png"), pytest.fail), False, 0)
    assert frame.rgb[0, 0].tolist() == [0, 0, 200]


def test_grey_and_sixteen_bit_and_transparent_pictures_come_as_rgb_bytes(tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), np.full((4, 4), 9, np.uint8))
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 4, 3), 9 * 257, np.uint16))
    cv2.imwrite(str(tmp_path / "clear.png"), np.full((4, 4, 4), 9, np.uint8))
    for frame in play(open_source(str(tmp_path), pytest.fail), False, 0):
        assert frame.rgb.shape == (4, 4, 3) and frame.rgb.dtype == np.uint8 and (frame.rgb == 9).all(), frame.name


def test_an_unreadable_picture_is_named_once_and_the_others_go_on(tmp_path):
    save(tmp_path / "a.png", 1)
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and then nothing")
    (tmp_path / "empty.png").touch()
    save(tmp_path / "z.png", 2)
    warnings = []
    got = names(open_source(str(tmp_path), warnings.append), loop=True, max_frames=5)
    assert got == ["a.png", "z.png", "a.png", "z.png", "a.png"]
    assert len(warnings) == 2 and "broken.png" in warnings[0] and "empty.png" in warnings[1]


def test_a_folder_where_nothing_can_be_read_is_an_error_and_not_an_endless_loop(tmp_path):
    (tmp_path / "empty.png").touch()
    with pytest.raises(UserError, match="source.*not one of its pictures"):
        names(open_source(str(tmp_path), lambda text: None), loop=True)


def test_pictures_are_decoded_once_however_often_they_are_played(tmp_path, monkeypatch):
    save(tmp_path / "a.png", 1)
    save(tmp_path / "b.png", 2)
    decoded = []
    real = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda *given: decoded.append(1) or real(*given))
    assert len(names(open_source(str(tmp_path), pytest.fail), loop=True, max_frames=10)) == 10
    assert len(decoded) == 2


def test_what_does_not_fit_in_the_cache_is_decoded_again(tmp_path, monkeypatch):
    save(tmp_path / "a.png", 1)
    save(tmp_path / "b.png", 2)
    monkeypatch.setattr(sources, "CACHE_LIMIT_BYTES", 12 * 16 * 3)
    frames = list(play(open_source(str(tmp_path), pytest.fail), True, 4))
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [1, 2, 1, 2]
    assert frames[0].rgb is frames[2].rgb and frames[1].rgb is not frames[3].rgb


def test_a_video_gives_every_frame_with_its_number(video):
    frames = list(play(open_source(str(video), pytest.fail), False, 0))
    assert [frame.name for frame in frames] == [f"clip.avi#{index}" for index in range(5)]
    assert all(abs(int(frame.rgb.mean()) - 50 * index) < 8 for index, frame in enumerate(frames))


def test_a_video_starts_again_in_a_loop(video):
    assert names(open_source(str(video), pytest.fail), loop=True, max_frames=7)[-2:] == ["clip.avi#0", "clip.avi#1"]


def test_several_sources_are_played_one_after_the_other(tmp_path, video):
    picture = save(tmp_path / "a.png", 1)
    assert names(open_source(f"{picture}, {video}", pytest.fail), max_frames=3) == ["a.png", "clip.avi#0", "clip.avi#1"]


def test_a_path_with_a_comma_is_one_path(tmp_path):
    assert names(open_source(str(save(tmp_path / "a,b.png", 1)), pytest.fail)) == ["a,b.png"]


def test_the_examples_are_the_three_photos_and_the_street_video():
    assert names(open_source("example", pytest.fail)) == ["chelsea.png", "coffee.png", "motorcycle_left.png"]
    (frame,) = play(open_source("example_video", pytest.fail), False, 1)
    assert frame.name == "bikes.mp4#0" and frame.rgb.shape == (272, 640, 3)


@pytest.mark.parametrize("text", ["/no/such/folder", "", "no_such.mp4"])
def test_a_source_that_does_not_exist_is_refused_naming_the_parameter_and_the_choices(text):
    with pytest.raises(UserError, match="parameter source: .*folder of pictures.*webcam.*example") as refusal:
        open_source(text, pytest.fail)
    assert text in str(refusal.value)


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no picture"):
        open_source(str(tmp_path), pytest.fail)


def test_a_file_that_is_neither_picture_nor_video_is_refused(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("hello")
    with pytest.raises(UserError, match="parameter source: .*notes.txt cannot be played"):
        names(open_source(str(path), pytest.fail))


class FakeCapture:
    """A webcam that gives numbered pictures as fast as it is allowed to."""

    def __init__(self, count, opened=True):
        self.allowed = threading.Semaphore(0)
        self.count, self.opened, self.given, self.released = count, opened, 0, threading.Event()

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return self.opened

    def read(self):
        self.allowed.acquire(timeout=10)
        if self.given == self.count:
            return False, None
        self.given += 1
        return True, np.full((2, 2, 3), self.given, np.uint8)

    def release(self):
        self.released.set()


def test_a_webcam_that_cannot_be_opened_is_refused():
    webcam = Webcam(3, lambda number: FakeCapture(0, opened=False))
    with pytest.raises(UserError, match="webcam 3 cannot be opened"):
        next(webcam.frames())


@pytest.mark.timeout(30)
def test_a_slow_reader_of_a_webcam_gets_the_newest_frame_and_not_the_queue():
    capture = FakeCapture(4)
    webcam = Webcam(0, lambda number: capture)
    frames = webcam.frames()
    capture.allowed.release()
    assert int(next(frames).rgb[0, 0, 0]) == 1
    capture.allowed.release(4)
    assert capture.released.wait(10)  # three more frames, then the end
    assert int(next(frames).rgb[0, 0, 0]) == 4
    webcam.close()


@pytest.mark.timeout(30)
def test_a_webcam_that_falls_silent_is_an_error(monkeypatch):
    monkeypatch.setattr("coedge_ros.nodes.webcam.SILENCE_LIMIT_S", 0.05)
    capture = FakeCapture(0)
    webcam = Webcam(0, lambda number: capture)
    with pytest.raises(UserError, match="gave no picture"):
        next(webcam.frames())
    capture.allowed.release()
    webcam.close()


def test_the_word_for_a_webcam_is_its_number():
    assert isinstance(open_source("0", pytest.fail), Webcam)
