"""Decoding single files: every usual mode, depth and format gives the same grey levels."""

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from benchmark.errors import UserError
from datasets.image_files import read_grey, read_mask

GREY = (np.arange(20 * 30).reshape(20, 30) % 251).astype(np.uint8)
DEEP = (np.arange(20 * 30, dtype=np.uint16) * 109).reshape(20, 30)
MASK = np.zeros((20, 30), bool)
MASK[4:7, 9:13] = True


@pytest.mark.parametrize("end", ["png", "bmp", "tif", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_grey_levels_of_every_mode(mode, end, tmp_path):
    if (mode, end) in (("LA", "bmp"), ("RGBA", "bmp")):
        pytest.skip(f"Pillow writes no {end} of mode {mode}")
    image = Image.fromarray(GREY).convert(mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(Image.fromarray(255 - GREY))
    image.save(tmp_path / f"a.{end}")
    grey = read_grey(tmp_path / f"a.{end}")
    assert grey.dtype == np.uint8
    assert np.array_equal(grey, GREY)


def test_jpeg_is_near(tmp_path):
    smooth = np.linspace(10, 200, 600).reshape(20, 30).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert np.abs(read_grey(tmp_path / "a.jpg").astype(int) - smooth).max() <= 3


@pytest.mark.parametrize("end", ["png", "bmp", "tif"])
def test_one_bit(end, tmp_path):
    Image.fromarray(MASK).save(tmp_path / f"a.{end}")
    assert np.array_equal(read_grey(tmp_path / f"a.{end}"), MASK * np.uint8(255))
    assert np.array_equal(read_mask(tmp_path / f"a.{end}", MASK.shape).pixels, MASK)


def tiff16(path, values, order):
    """A TIFF of 16-bit grey, written by hand in this byte order ('<' or '>')."""
    height, width = values.shape
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (273, 134), (277, 1),
            (278, height), (279, 2 * values.size), (339, 1)]  # fmt: skip
    kinds = {273: 4, 279: 4}
    data = {"<": b"II", ">": b"MM"}[order] + np.array([42], f"{order}u2").tobytes()
    data += np.array([8], f"{order}u4").tobytes() + np.array([len(tags)], f"{order}u2").tobytes()
    for tag, value in tags:
        kind = kinds.get(tag, 3)
        data += np.array([tag, kind], f"{order}u2").tobytes()
        data += np.array([1], f"{order}u4").tobytes()
        field = np.array([value], f"{order}u{4 if kind == 4 else 2}").tobytes()
        data += field.ljust(4, b"\0")
    data += bytes(4)
    assert len(data) == 134
    path.write_bytes(data + values.astype(f"{order}u2").tobytes())


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bit_tiff_in_both_byte_orders(order, tmp_path):
    tiff16(tmp_path / "a.tif", DEEP, order)
    grey = read_grey(tmp_path / "a.tif")
    assert grey.dtype == np.uint16
    assert np.array_equal(grey, DEEP)


def test_sixteen_bit_png(tmp_path):
    Image.fromarray(DEEP).save(tmp_path / "a.png")
    assert np.array_equal(read_grey(tmp_path / "a.png"), DEEP)
    assert read_grey(tmp_path / "a.png").dtype == np.uint16


def rgb16_png(path):
    """A PNG of 16-bit colour, which Pillow cannot write."""

    def chunk(kind, data):
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = b"".join(b"\0" + bytes(range(2 * 3 * 4)) for _ in range(4))
    header = struct.pack(">IIBBBBB", 4, 4, 16, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def two_pages(path):
    Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(GREY)])


def thirty_two_bit(path):
    Image.fromarray(np.full((4, 4), 70000, np.int32)).save(path)


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.tif", lambda p: Image.fromarray(np.ones((4, 4), np.float32)).save(p),
         r"a\.tif: floating-point pixels have no fixed range; save it with 8 or 16 bit$"),
        ("a.png", rgb16_png,
         r"a\.png: 16-bit colour would be cut to 8 bit; save it as 16-bit grey$"),
        ("a.tif", two_pages, r"a\.tif: holds 2 pictures; save each as a file$"),
        ("a.tif", thirty_two_bit, r"a\.tif: values 70000 to 70000 do not fit into 16 bit"),
        ("a.png", lambda p: None, r"a\.png: file is missing; download the dataset again$"),
        ("a.png", lambda p: p.mkdir(), r"a\.png: cannot be decoded \(.*directory"),
    ],
    ids=["float", "deep colour", "pages", "32 bit", "missing", "folder"],
)  # fmt: skip
def test_what_cannot_be_used(name, write, message, tmp_path):
    write(tmp_path / name)
    with pytest.raises(UserError, match=message):
        read_grey(tmp_path / name)


@pytest.mark.parametrize(
    ("top", "dtype"), [(1, np.uint8), (255, np.uint8), (1, np.uint16), (255, np.uint16),
                       (65535, np.uint16)],
)  # fmt: skip
def test_masks_of_every_range(top, dtype, tmp_path):
    Image.fromarray((MASK * top).astype(dtype)).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", MASK.shape)
    assert np.array_equal(mask.pixels, MASK)
    assert (mask.note, mask.greys) == (None, 0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "LA", "1"])
def test_masks_of_every_mode(mode, tmp_path):
    Image.fromarray(MASK * np.uint8(255)).convert(mode).save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", MASK.shape)
    assert np.array_equal(mask.pixels, MASK)
    assert mask.greys == 0


def test_label_maps_are_read_by_label(tmp_path):
    """Label tools give class 1 a dark red, whose grey level is below half."""
    image = Image.fromarray(MASK.astype(np.uint8) * 2).convert("P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    image.save(tmp_path / "m.png")
    mask = read_mask(tmp_path / "m.png", MASK.shape)
    assert np.array_equal(mask.pixels, MASK)
    assert mask.greys == 0


@given(
    st.sampled_from([np.uint8, np.uint16]).flatmap(
        lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=2, max_side=8))
    )
)
def test_a_mask_is_what_exceeds_half_of_its_range(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("m") / "m.png"
    Image.fromarray(values).save(path)
    top = next(t for t in (1, 255, 65535) if values.max() <= t)
    mask = read_mask(path, values.shape)
    assert np.array_equal(mask.pixels, values > top / 2)
    assert mask.greys == np.count_nonzero((values != 0) & (values != top))
    assert np.array_equal(read_grey(path), values)


def test_palette_entries_that_no_pixel_uses_decide_nothing(tmp_path):
    """White, black and an unused red: target is what is white, whatever its index."""
    indices = np.ones((8, 8), np.uint8)
    indices[2:4, 3:6] = 0
    image = Image.frombytes("P", (8, 8), indices.tobytes())
    image.putpalette([255, 255, 255, 0, 0, 0, 255, 0, 0])
    image.save(tmp_path / "mask.png")
    assert np.array_equal(read_mask(tmp_path / "mask.png", (8, 8)).pixels, indices == 0)
