"""Images in and out: pixels, padding, copies and refusals."""

import array
import time

import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes.image_codec import READABLE_ENCODINGS, WRITABLE_ENCODINGS, decode_image, encode_image, resize_to

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
@pytest.mark.parametrize("encoding", WRITABLE_ENCODINGS)
def test_every_plain_encoding_gives_the_stored_pixels_with_and_without_row_padding(encoding, padding):
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


# -- encodings of cameras, by plain formulas -------------------------------------------------------------------------


def stored(encoding: str, values: np.ndarray, big_endian: bool, padding: int) -> Image:
    """A message of values (H, W * channels), uint8 or uint16, with rows that are `padding` bytes longer."""
    height = len(values)
    rows = values.astype(">u2" if big_endian else "<u2") if values.dtype == np.uint16 else values
    rows = np.ascontiguousarray(rows).view(np.uint8).reshape(height, -1)
    rows = np.concatenate([rows, np.full((height, padding), 255, np.uint8)], axis=1)
    msg = Image(height=height, encoding=encoding, step=rows.shape[1], is_bigendian=int(big_endian))
    msg.data = array.array("B", rows.tobytes())
    return msg


@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize(("encoding", "order"), [
    ("mono16", [0, 0, 0]), ("rgb16", [0, 1, 2]), ("bgr16", [2, 1, 0]), ("rgba16", [0, 1, 2]), ("bgra16", [2, 1, 0])
])  # fmt: skip
def test_16_bit_values_become_the_nearest_of_8_in_either_byte_order(encoding, order, big_endian, padding):
    channels = {"mono": 1, "rgb1": 3, "bgr1": 3, "rgba": 4, "bgra": 4}[encoding[:4]]
    values = np.random.default_rng(1).integers(0, 2**16, (6, 9, channels), dtype=np.uint16)
    values[0, :5, 0] = [0, 128, 129, 65535 - 129, 65535]  # 0, 0, 1, 254, 255
    msg = stored(encoding, values.reshape(6, -1), big_endian, padding)
    msg.width = 9
    expected = ((values.astype(np.int64) + 128) // 257)[..., order]
    np.testing.assert_array_equal(decode_image(msg), expected)


@pytest.mark.parametrize("padding", [0, 1, 6])
@pytest.mark.parametrize(("encoding", "luma"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)])
def test_yuv_pairs_become_the_colours_of_bt_601(encoding, luma, padding):
    random = np.random.default_rng(2)
    y, u, v = random.integers(16, 236, (8, 12)), random.integers(16, 241, (8, 6)), random.integers(16, 241, (8, 6))
    values = np.empty((8, 24), np.uint8)
    values[:, luma::2] = y
    values[:, 1 - luma :: 4], values[:, 3 - luma :: 4] = u, v
    msg = stored(encoding, values, False, padding)
    msg.width = 12
    bright, blue, red = 1.164 * (y - 16), np.repeat(u - 128, 2, axis=1), np.repeat(v - 128, 2, axis=1)
    rgb = np.stack([bright + 1.596 * red, bright - 0.813 * red - 0.391 * blue, bright + 2.018 * blue], axis=2)
    assert np.abs(decode_image(msg) - np.clip(rgb, 0, 255)).max() <= 1.5


@pytest.mark.parametrize(("size", "big_endian"), [(8, False), (16, False), (16, True)])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("padding", [0, 3])
def test_bayer_mosaics_become_the_colours_they_were_made_from(pattern, size, big_endian, padding):
    rgb = np.empty((12, 17, 3), np.uint8)
    rgb[:, :8], rgb[:, 8:] = (200, 90, 30), (10, 120, 250)
    mosaic = np.empty((12, 17), np.uint8)
    for place, colour in enumerate(pattern):
        row, column = divmod(place, 2)
        mosaic[row::2, column::2] = rgb[row::2, column::2, "rgb".index(colour)]
    values = mosaic if size == 8 else mosaic.astype(np.uint16) * 257
    msg = stored(f"bayer_{pattern}{size}", values, big_endian, padding)
    msg.width = 17
    away_from_the_edge = [*range(6), *range(10, 17)]  # between the colours is what was interpolated
    np.testing.assert_array_equal(decode_image(msg)[:, away_from_the_edge], rgb[:, away_from_the_edge])


def test_every_encoding_is_read_from_the_bytes_that_its_size_needs_and_not_from_one_less():
    for encoding in READABLE_ENCODINGS:
        per_pixel = {"yuv4": 2, "uyvy": 2, "yuyv": 2, "baye": 1, "mono": 1, "rgb8": 3, "rgb1": 3, "bgr8": 3, "bgr1": 3,
                     "rgba": 4, "bgra": 4}[encoding[:4]] * (2 if encoding.endswith("16") else 1)  # fmt: skip
        msg = Image(
            height=4, width=6, encoding=encoding, step=6 * per_pixel, data=array.array("B", bytes(24 * per_pixel))
        )
        assert decode_image(msg).shape == (4, 6, 3), encoding
        msg.data = msg.data[:-1]
        with pytest.raises(UserError, match="truncated image"):
            decode_image(msg)
        msg.step -= 1
        with pytest.raises(UserError, match=f"is too small: 6 pixels of {encoding} need {6 * per_pixel} bytes a row"):
            decode_image(msg)


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_an_odd_width_of_pairs_is_refused(encoding):
    msg = Image(height=2, width=5, encoding=encoding, step=12, data=array.array("B", bytes(24)))
    with pytest.raises(UserError, match=f"width 5 is odd: in {encoding} two pixels share"):
        decode_image(msg)


@pytest.mark.parametrize(("height", "width"), [(2, 9), (9, 2), (1, 1)])
def test_a_mosaic_too_small_for_its_colours_is_refused(height, width):
    msg = Image(height=height, width=width, encoding="bayer_rggb8", step=width, data=array.array("B", bytes(18)))
    with pytest.raises(UserError, match="bayer_rggb8 needs 3 rows and columns"):
        decode_image(msg)


@pytest.mark.parametrize("height,width", [(0, 5), (5, 0)])
def test_an_image_without_rows_or_columns_is_refused(height, width):
    msg = Image(height=height, width=width, encoding="rgb8", step=15, data=array.array("B", bytes(75)))
    with pytest.raises(UserError, match="empty image"):
        decode_image(msg)


def test_an_image_without_data_is_refused():
    with pytest.raises(UserError, match="empty image: height 7, width 5, 0 bytes"):
        decode_image(Image(height=7, width=5, encoding="rgb8", step=15))


@pytest.mark.parametrize("encoding", WRITABLE_ENCODINGS)
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
    assert all(name in str(refusal.value) for name in READABLE_ENCODINGS)


def test_writing_an_unknown_encoding_is_refused_with_the_list_of_supported_ones():
    with pytest.raises(UserError, match="'yuv422'.*" + ", ".join(WRITABLE_ENCODINGS)):
        encode_image(picture(), Header(), "yuv422")


@pytest.mark.parametrize("pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_writing_anything_but_rgb_bytes_is_refused(pixels):
    with pytest.raises(UserError, match="pixels must be"):
        encode_image(pixels, Header())


def test_cv_bridge_gives_the_same_pixels_as_the_fast_path():
    cv_bridge = pytest.importorskip("cv_bridge")
    for encoding in WRITABLE_ENCODINGS:
        msg, _ = message(encoding, padding=12)  # cv_bridge shears rows whose padding is not whole pixels
        np.testing.assert_array_equal(decode_image(msg), cv_bridge.CvBridge().imgmsg_to_cv2(msg, "rgb8"))


def test_another_encoding_is_read_through_cv_bridge():
    pytest.importorskip("cv_bridge")
    msg = Image(height=2, width=2, encoding="8UC3", step=6, data=array.array("B", bytes([128] * 12)))
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
