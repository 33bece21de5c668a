"""The hash of an image: of its pixels, not of how they are stored."""

import numpy as np
import pytest

from datasets.hashes import image_hash

IMAGE = np.arange(12, dtype=np.uint8).reshape(3, 4)


def test_a_known_value():
    """Stored in records and checkpoints: it must never change between versions."""
    assert image_hash(IMAGE) == "222ee7f43d056cbe"


@pytest.mark.parametrize(
    "same",
    [
        np.asfortranarray(IMAGE),
        np.repeat(IMAGE, 2, axis=1)[:, ::2],
        np.flipud(np.flipud(IMAGE).copy()),
    ],
    ids=["column order", "strided", "negative stride"],
)
def test_storage_does_not_matter(same):
    assert image_hash(same) == image_hash(IMAGE)


def test_byte_order_does_not_matter():
    wide = IMAGE.astype(np.uint16) * 300
    assert image_hash(wide.astype(">u2")) == image_hash(wide.astype("<u2"))


@pytest.mark.parametrize(
    "other",
    [IMAGE.reshape(4, 3), IMAGE.astype(np.uint16), IMAGE + np.eye(3, 4, dtype=np.uint8), IMAGE.T],
    ids=["shape", "type", "pixels", "transposed"],
)
def test_content_does(other):
    assert image_hash(other) != image_hash(IMAGE)
