"""Frames between arrival and result: newest wins, each accepted frame has exactly one result."""

import numpy as np

from coedge_ros.execution.fragment import FrameKey
from coedge_ros.nodes.frames import FrameBook

PIXELS = np.zeros((2, 2, 3), np.uint8)


def book(limit: int = 1, queue: int = 1) -> FrameBook:
    return FrameBook(limit, queue)


def arrive(frames: FrameBook, *headers: str) -> None:
    for header in headers:
        frames.arrive(header, PIXELS, 0.0)


def test_a_frame_is_accepted_in_the_order_of_arrival_while_there_is_room():
    frames = book(limit=2, queue=5)
    arrive(frames, "first", "second", "third")
    assert [frames.accept().header, frames.accept().header] == ["first", "second"]
    assert frames.accept() is None
    frames.answer(0)
    third = frames.accept()
    assert (third.header, third.number, third.attempts) == ("third", 2, 0)
    assert frames.accepted == 3


def test_when_the_queue_is_full_the_oldest_goes_and_is_counted_under_its_reason():
    frames = book(queue=2)
    arrive(frames, "a", "b", "c", "d")
    assert dict(frames.dropped) == {"replaced by a newer frame": 2}
    assert frames.accept().header == "c"
    assert frames.accepted == 1


def test_a_frame_has_one_result_and_no_second():
    frames = book()
    arrive(frames, "a")
    number = frames.accept().number
    assert frames.answer(number).header == "a"
    assert frames.answer(number) is None
    assert frames.answered == 1


def test_a_frame_is_found_by_the_key_of_its_last_attempt_only():
    frames = book()
    arrive(frames, "a")
    frame = frames.accept()
    frame.key = FrameKey(1, 1, 5)
    assert frames.of_key(FrameKey(1, 1, 5)) is frame
    frame.key = FrameKey(1, 2, 6)
    assert frames.of_key(FrameKey(1, 1, 5)) is None and frames.of_key(FrameKey(1, 2, 6)) is frame


def test_each_camera_has_its_turn_and_its_own_queue_whatever_the_rates():
    frames = book(limit=10)
    for number in range(5):
        frames.arrive(f"fast {number}", PIXELS, 0.0, "/fast")
    frames.arrive("slow 0", PIXELS, 0.0, "/slow")
    frames.arrive("fast 5", PIXELS, 0.0, "/fast")
    assert [frames.accept().header for _ in range(2)] == ["fast 5", "slow 0"]
    assert frames.accept() is None
    assert dict(frames.dropped) == {"replaced by a newer frame of /fast": 5}


def test_cameras_that_always_have_frames_are_served_alternately():
    frames = book(limit=1, queue=3)
    served = []
    for _ in range(6):
        for camera in ("a", "b", "b", "c"):
            frames.arrive(camera, PIXELS, 0.0, camera)
        frame = frames.accept()
        served.append(frame.header)
        frames.answer(frame.number)
    assert served == ["a", "b", "c"] * 2


def test_a_camera_that_was_quiet_is_next():
    frames = book(limit=10)
    frames.arrive("slow", PIXELS, 0.0, "/slow")
    frames.accept()
    for _ in range(3):
        frames.arrive("fast", PIXELS, 0.0, "/fast")
        frames.accept()
    frames.arrive("fast", PIXELS, 0.0, "/fast")
    frames.arrive("slow", PIXELS, 0.0, "/slow")
    assert [frames.accept().header, frames.accept().header] == ["slow", "fast"]


def test_a_frame_knows_the_size_of_its_image_and_has_the_picture_only_where_it_was_given():
    frames = book(limit=2, queue=2)
    arrive(frames, "a")
    picture = np.zeros((40, 60, 3), np.uint8)
    frames.arrive("b", PIXELS, 0.0, "", picture.shape[:2], picture)
    first, second = frames.accept(), frames.accept()
    assert first.source_size == (2, 2) and first.picture is None
    assert second.source_size == (40, 60) and second.picture is picture
