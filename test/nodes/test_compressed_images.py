"""Compressed images: written by another library or by hand, read here; what is broken is refused in one sentence."""

import array
import io
import random
import struct
import zlib

import numpy as np
import pytest
from PIL import Image as Picture
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from coedge_ros.errors import UserError
from coedge_ros.nodes import compressed_images
from coedge_ros.nodes.compressed_images import decode_compressed, encode_compressed


def scene(height=40, width=56) -> np.ndarray:
    """A smooth picture, left half red and right half blue: JPEG keeps it nearly."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2, 0] = rgb[:, width // 2 :, 2] = np.linspace(60, 220, height).astype(np.uint8)[:, None]
    return rgb


def message(data: bytes, format: str = "") -> CompressedImage:
    return CompressedImage(data=array.array("B", data), format=format)


def by_pillow(pixels: np.ndarray, kind: str, **options) -> bytes:
    out = io.BytesIO()
    Picture.fromarray(pixels).save(out, kind, **options)
    return out.getvalue()


def png(values: np.ndarray, colour_type: int) -> bytes:
    """A PNG by hand: uint8 or big-endian 16 bit values (H, W, channels)."""
    height, width = values.shape[:2]
    depth = 16 if values.dtype == np.uint16 else 8
    rows = b"".join(b"\0" + row.astype(">u2" if depth == 16 else "u1").tobytes() for row in values)

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour_type, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def noise(channels: int, dtype=np.uint8) -> np.ndarray:
    return np.random.default_rng(3).integers(0, np.iinfo(dtype).max, (9, 11, channels), dtype=dtype, endpoint=True)


@pytest.mark.parametrize("format", ["png", "rgb8; png compressed bgr8", "jpeg", ""])  # the data say what they are
def test_png_gives_the_stored_pixels_whatever_the_format_says(format):
    rgb = noise(3)
    np.testing.assert_array_equal(decode_compressed(message(png(rgb, 2), format)), rgb)


def test_png_with_alpha_grey_and_16_bit_become_8_bit_rgb():
    rgba, grey, deep = noise(4), noise(1), noise(3, np.uint16)
    np.testing.assert_array_equal(decode_compressed(message(png(rgba, 6))), rgba[..., :3])
    np.testing.assert_array_equal(decode_compressed(message(png(grey, 0))), np.repeat(grey, 3, axis=2))
    assert np.abs(decode_compressed(message(png(deep, 2))) - deep / 257.0).max() <= 1


@pytest.mark.parametrize("opencv", ["new", "before 4.11"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}])
def test_jpeg_gives_the_colours_that_another_library_reads(monkeypatch, options, opencv):
    if opencv != "new":
        monkeypatch.setattr(compressed_images, "_TO_RGB", None)
    data = by_pillow(scene(), "JPEG", quality=90, **options)
    decoded = decode_compressed(message(data, "bgr8; jpeg compressed bgr8"))
    assert decoded.dtype == np.uint8 and decoded.shape == (40, 56, 3)
    expected = np.asarray(Picture.open(io.BytesIO(data)).convert("RGB")).astype(int)
    assert np.abs(decoded - expected).mean() < 2
    assert np.abs(decoded[:, [5, -5]].astype(int) - scene()[:, [5, -5]]).max() < 12  # red is red and blue is blue


def test_grey_jpeg_and_padding_after_its_end_are_read():
    grey = np.full((16, 24), 90, np.uint8)
    data = by_pillow(grey, "JPEG") + bytes(300)  # as some drivers hand over their whole buffer
    assert np.abs(decode_compressed(message(data)).astype(int) - 90).max() <= 2


def test_a_turn_that_the_file_asks_for_is_ignored_because_rows_are_the_sensors():
    exif = Picture.Exif()
    exif[0x0112] = 6  # turn by 90 degrees
    data = by_pillow(scene(), "JPEG", exif=exif)
    assert decode_compressed(message(data)).shape == (40, 56, 3)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_a_compressed_mosaic_becomes_colour(pattern):
    colour, mosaic = (210, 100, 40), np.empty((8, 10, 1), np.uint8)
    for place, name in enumerate(pattern):
        mosaic[place // 2 :: 2, place % 2 :: 2] = colour["rgb".index(name)]
    decoded = decode_compressed(message(png(mosaic, 0), f"bayer_{pattern}8; png compressed "))
    assert (decoded == colour).all()


@pytest.mark.parametrize(("kind", "most"), [("jpeg", 12), ("png", 0)])
def test_what_is_written_here_another_library_reads(kind, most):
    msg = encode_compressed(scene(), Header(frame_id="front"), kind)
    assert msg.header.frame_id == "front" and msg.format == f"rgb8; {kind} compressed bgr8"
    picture = Picture.open(io.BytesIO(bytes(msg.data)))
    assert picture.format == kind.upper()
    assert np.abs(np.asarray(picture.convert("RGB")).astype(int) - scene())[:, [5, -5]].max() <= most
    np.testing.assert_allclose(decode_compressed(msg)[:, [5, -5]], scene()[:, [5, -5]], atol=most)


def test_less_quality_is_fewer_bytes():
    rgb = noise(3).repeat(8, 0).repeat(8, 1)
    sizes = [len(encode_compressed(rgb, Header(), "jpeg", quality).data) for quality in (10, 50, 95)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[2] / 2


JPEG, PNG = by_pillow(scene(), "JPEG"), png(noise(3), 2)
AT = JPEG.index(b"\xff\xc0") + 5  # where its height is
TALL = JPEG[:AT] + b"\xff\xff" + JPEG[AT + 2 :]
HUGE = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
BROKEN = {
    "nothing": (b"", "", "empty compressed image: 0 bytes"),
    "something else": (b"GIF89a" + bytes(50), "gif", "neither JPEG nor PNG"),
    "a format that is no text": (bytes(50), "\x1b[2J" * 100, "neither JPEG nor PNG"),
    "a depth image": (PNG, "16UC1; compressedDepth png", "depth images cannot be read"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "jpeg", "broken JPEG, it ends too early"),
    "a jpeg's first bytes": (JPEG[:3], "jpeg", "broken JPEG"),
    "half a png": (PNG[: len(PNG) // 2], "png", "broken PNG, it ends too early"),
    "a jpeg larger than its bytes": (TALL, "jpeg", "broken JPEG, 65535 x 56 pixels cannot be in so few bytes"),
    "a png of gigabytes": (PNG[:16] + HUGE + PNG[29:], "png", "PNG of 60000 x 60000 pixels"),
    "a png without rows": (PNG[:20] + bytes(4) + PNG[24:], "png", "PNG of 0 x 11 pixels"),
    "a png whose rows are broken": (PNG.replace(PNG[50:60], bytes(10)), "png", "broken PNG, OpenCV cannot read it"),
}


@pytest.mark.parametrize(("data", "format", "said"), BROKEN.values(), ids=BROKEN)
def test_what_is_broken_is_refused_in_one_sentence(data, format, said):
    with pytest.raises(UserError) as refusal:
        decode_compressed(message(data, format))
    assert said in str(refusal.value) and len(str(refusal.value)) < 300 and "\x1b" not in str(refusal.value)


def test_a_jpeg_cut_anywhere_is_refused():
    for cut in range(len(JPEG) - 1):
        with pytest.raises(UserError):
            decode_compressed(message(JPEG[:cut]))


@pytest.mark.parametrize("data", [JPEG, PNG])
def test_changed_bytes_give_a_picture_or_a_refusal_and_nothing_else(data):
    rng = random.Random(1)
    refused = 0
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(rng.randint(1, 6)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        try:
            assert decode_compressed(message(bytes(changed))).shape[2] == 3
        except UserError:
            refused += 1
    assert refused > 0


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})])
@pytest.mark.parametrize("shape", [(2160, 3840, 3), (2160, 3840)])
def test_a_large_black_picture_is_no_broken_one_because_it_has_few_bytes(kind, options, shape):
    data = by_pillow(np.zeros(shape, np.uint8), kind, optimize=True, **options)
    assert not decode_compressed(message(data)).any()
