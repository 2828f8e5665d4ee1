"""Images in and out: pixels, padding, copies and refusals."""

import array
import time

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes.image_codec import SUPPORTED_ENCODINGS, decode_image, encode_image, resize_to

CHANNELS = {"rgb8": 3, "bgr8": 3, "mono8": 1, "rgba8": 4, "bgra8": 4}


def picture(height=7, width=5, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def message(encoding, height=7, width=5, padding=0, seed=0):
    """A message written by hand, independently of encode_image, and the pixels it stands for."""
    rgb = picture(height, width, seed)
    alpha = np.full((height, width, 1), 77, np.uint8)
    stored = {
        "rgb8": rgb,
        "bgr8": rgb[..., [2, 1, 0]],
        "mono8": rgb[..., :1],
        "rgba8": np.concatenate([rgb, alpha], axis=2),
        "bgra8": np.concatenate([rgb[..., [2, 1, 0]], alpha], axis=2),
    }[encoding]
    if encoding == "mono8":
        rgb = np.repeat(rgb[..., :1], 3, axis=2)
    rows = stored.reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 255, np.uint8)], axis=1)
    msg = Image(height=height, width=width, encoding=encoding, step=rows.shape[1])
    msg.data = array.array("B", rows.tobytes())
    return msg, rgb


@pytest.mark.parametrize("padding", [0, 1, 11])
@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_every_fast_encoding_gives_the_stored_pixels_with_and_without_row_padding(encoding, padding):
    msg, rgb = message(encoding, padding=padding)
    decoded = decode_image(msg)
    assert decoded.dtype == np.uint8 and decoded.shape == rgb.shape
    np.testing.assert_array_equal(decoded, rgb)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "rgba8", "bgra8"])
def test_colour_survives_encoding_and_decoding(encoding):
    rgb = picture(33, 21)
    np.testing.assert_array_equal(decode_image(encode_image(rgb, Header(), encoding)), rgb)


def test_grey_survives_encoding_as_mono8():
    grey = np.repeat(picture()[..., :1], 3, axis=2)
    np.testing.assert_array_equal(decode_image(encode_image(grey, Header(), "mono8")), grey)


@pytest.mark.parametrize("padding", [0, 4])
def test_rgb8_is_not_copied(padding):
    msg, rgb = message("rgb8", padding=padding)
    decoded = decode_image(msg)
    msg.data[0] ^= 0xFF
    assert decoded[0, 0, 0] == rgb[0, 0, 0] ^ 0xFF


def test_encoding_keeps_the_header_and_describes_the_rows():
    header = Header(frame_id="front")
    header.stamp.sec = 12
    msg = encode_image(picture(4, 6), header, "bgra8")
    assert (msg.header.frame_id, msg.header.stamp.sec) == ("front", 12)
    assert (msg.height, msg.width, msg.step, msg.encoding, len(msg.data)) == (4, 6, 24, "bgra8", 96)


def test_encoding_reads_rows_that_lie_apart():
    wide = picture(8, 20)
    for encoding in ("rgb8", "bgr8"):
        part = wide[2:7, 3:9]
        np.testing.assert_array_equal(decode_image(encode_image(part, Header(), encoding)), part)


def test_encoding_a_large_picture_does_not_check_byte_by_byte():
    rgb = np.zeros((1080, 1920, 3), np.uint8)
    started = time.perf_counter()
    encode_image(rgb, Header())
    assert time.perf_counter() - started < 0.15  # 6 MB byte by byte take more than half a second


@pytest.mark.parametrize("height,width", [(0, 5), (5, 0)])
def test_an_image_without_rows_or_columns_is_refused(height, width):
    msg = Image(height=height, width=width, encoding="rgb8", step=15, data=array.array("B", bytes(75)))
    with pytest.raises(UserError, match="empty image"):
        decode_image(msg)


def test_an_image_without_data_is_refused():
    with pytest.raises(UserError, match="empty image: height 7, width 5, 0 bytes"):
        decode_image(Image(height=7, width=5, encoding="rgb8", step=15))


@pytest.mark.parametrize("encoding", SUPPORTED_ENCODINGS)
def test_a_truncated_image_is_refused_naming_both_sizes(encoding):
    msg, _ = message(encoding)
    complete = len(msg.data)
    msg.data = msg.data[:-1]
    with pytest.raises(UserError, match=f"truncated image: {complete - 1} bytes.* needs {complete}"):
        decode_image(msg)


def test_a_step_smaller_than_a_row_is_refused():
    msg, _ = message("rgb8")
    msg.step = 14
    with pytest.raises(UserError, match="step 14 is too small: 5 pixels of rgb8 need 15 bytes"):
        decode_image(msg)


def test_sizes_that_no_memory_holds_are_refused_before_anything_is_allocated():
    msg = Image(height=2**32 - 1, width=2**30, encoding="rgb8", step=2**32 - 1, data=array.array("B", bytes(100)))
    with pytest.raises(UserError, match="truncated image"):
        decode_image(msg)


def test_trailing_bytes_are_ignored():
    msg, rgb = message("bgr8")
    msg.data.extend(b"more")
    np.testing.assert_array_equal(decode_image(msg), rgb)


def test_an_unknown_encoding_is_refused_with_the_list_of_supported_ones():
    msg = Image(height=2, width=2, encoding="no_such_encoding", step=8, data=array.array("B", bytes(16)))
    with pytest.raises(UserError) as refusal:
        decode_image(msg)
    assert "no_such_encoding" in str(refusal.value)
    assert all(name in str(refusal.value) for name in SUPPORTED_ENCODINGS)


def test_writing_an_unknown_encoding_is_refused_with_the_list_of_supported_ones():
    with pytest.raises(UserError, match="'yuv422'.*" + ", ".join(SUPPORTED_ENCODINGS)):
        encode_image(picture(), Header(), "yuv422")


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_writing_anything_but_rgb_bytes_is_refused(pixels):
    with pytest.raises(UserError, match="pixels must be"):
        encode_image(pixels, Header())


def test_cv_bridge_gives_the_same_pixels_as_the_fast_path():
    cv_bridge = pytest.importorskip("cv_bridge")
    for encoding in SUPPORTED_ENCODINGS:
        msg, _ = message(encoding, padding=12)  # cv_bridge shears rows whose padding is not whole pixels
        np.testing.assert_array_equal(decode_image(msg), cv_bridge.CvBridge().imgmsg_to_cv2(msg, "rgb8"))


def test_another_encoding_is_read_through_cv_bridge():
    pytest.importorskip("cv_bridge")
    msg = Image(height=2, width=2, encoding="yuv422_yuy2", step=4, data=array.array("B", bytes([128] * 8)))
    decoded = decode_image(msg)
    assert decoded.shape == (2, 2, 3) and np.ptp(decoded) == 0


def test_resizing_to_the_same_size_copies_nothing():
    rgb = picture()
    assert resize_to(rgb, 7, 5) is rgb


def test_resizing_is_bilinear_and_takes_rows_that_lie_apart():
    rows = np.zeros((2, 3, 3), np.uint8)
    rows[:, 0] = 100
    resized = resize_to(rows[:, :2], 2, 4)
    np.testing.assert_array_equal(resized[0, :, 0], [100, 75, 25, 0])
