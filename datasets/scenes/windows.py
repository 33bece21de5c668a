"""Rectangles of an image: where a small picture lies on it, and its surroundings."""

from __future__ import annotations

Box = tuple[slice, slice]


def overlap(size: int, top: int, left: int, height: int, width: int) -> tuple[Box, Box]:
    """The part of a small picture that lies on a square image.

    Args:
        size: side of the image, px.
        top, left: where the small picture's first pixel goes; may be outside.
        height, width: of the small picture.

    Returns:
        Its box in the image, and the same part in the small picture. Empty if they do not meet.
    """
    sides = [_overlap_1d(size, top, height), _overlap_1d(size, left, width)]
    (there_y, part_y), (there_x, part_x) = sides
    return (there_y, there_x), (part_y, part_x)


def _overlap_1d(size: int, start: int, length: int) -> tuple[slice, slice]:
    first = min(max(start, 0), size)
    last = max(min(start + length, size), first)
    return slice(first, last), slice(first - start, last - start)
