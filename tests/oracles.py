"""A slow oracle of the `native` protocol that shares no code with it, and cases to try it on.

It fills components pixel by pixel, keeps centroids as fractions, and tries every one-to-one
matching.
"""

import math
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st
from skimage.measure import label, regionprops


def flood(binary):
    """Lists of (row, column), one per 8-connected component."""
    left = {(r, c) for r, c in np.argwhere(binary).tolist()}
    found = []
    while left:
        component, todo = [], [left.pop()]
        while todo:
            r, c = todo.pop()
            component.append((r, c))
            near = {(r + i, c + j) for i in (-1, 0, 1) for j in (-1, 0, 1)} & left
            left -= near
            todo += near
        found.append(component)
    return found


def centroid(pixels):
    return [Fraction(sum(axis), len(pixels)) for axis in zip(*pixels, strict=True)]


def best_matching(targets, predictions):
    """(hits, pixels of the matched predictions) of the best of all one-to-one matchings.

    Best: most hits, then least total distance in steps of 2**-20 px, then most matched pixels.
    """
    centres = [centroid(p) for p in predictions]
    options = []
    for target in targets:
        row, column = centroid(target)
        squares = [(row - r) ** 2 + (column - c) ** 2 for r, c in centres]
        options.append(
            [(p, math.isqrt(math.floor(s * 2**40))) for p, s in enumerate(squares) if s < 9]
        )

    def search(t, used):
        if t == len(options):
            return (0, 0, 0)
        best = search(t + 1, used)
        for p, steps in options[t]:
            if p not in used:
                hits, distance, area = search(t + 1, used | {p})
                best = max(best, (hits + 1, distance - steps, area + len(predictions[p])))
        return best

    hits, _, area = search(0, frozenset())
    return hits, area


def oracle_counts(on, mask, components=flood):
    targets, predictions = components(mask), components(on)
    hits, area = best_matching(targets, predictions)
    return {
        "targets": len(targets),
        "hits": hits,
        "false_components": len(predictions) - hits,
        "false_alarm_pixels": sum(map(len, predictions)) - area,
        "intersection": sum(bool(a and b) for a, b in zip(on.flat, mask.flat, strict=True)),
        "predicted": sum(map(len, predictions)),
        "positive": sum(map(len, targets)),
    }


def skimage_components(binary):
    return [
        [tuple(pixel) for pixel in region.coords.tolist()]
        for region in regionprops(label(binary, connectivity=2))
    ]


PROBABILITIES = [0.5, math.nextafter(0.5, 1), 0.6, 0.9, 1.0]


@st.composite
def scenes(draw):
    """(prob, mask) of up to 14 x 14 with a few rectangles, close enough to compete for matches."""
    height, width = draw(st.integers(1, 14)), draw(st.integers(1, 14))
    rectangle = st.tuples(
        st.integers(0, height - 1),
        st.integers(0, width - 1),
        st.sampled_from([1, 1, 2, 3]),
        st.sampled_from([1, 1, 2, 3, 5]),
    )
    mask = np.zeros((height, width), bool)
    for r, c, h, w in draw(st.lists(rectangle, max_size=5)):
        mask[r : r + h, c : c + w] = True
    prob = np.full((height, width), draw(st.sampled_from([0.0, 0.2, 0.5])))
    for r, c, h, w in draw(st.lists(rectangle, max_size=6)):
        prob[r : r + h, c : c + w] = draw(st.sampled_from(PROBABILITIES))
    return prob, mask
