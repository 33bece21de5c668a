"""The numbers of a set of images: its targets, its grey levels, its backgrounds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import find_objects

from datasets.base import Sample
from datasets.clutter import contrasts
from datasets.components import label_components
from datasets.spectrum import FREQUENCIES, background_spectrum, slope


@dataclass(frozen=True)
class Targets:
    """The T targets of a set, in order: 8-connected components of the masks.

    Attributes:
        image: (T,) int, place of its image in the set.
        area: (T,) int, px.
        scr: (T,) local signal-to-clutter ratio, see `clutter.Contrast`: the same as in the
            sensitivity report; NaN where the background is empty or flat.
        contrast: (T,) mean of the target - mean of its local background, as a fraction of the full
            range; negative for dark targets, NaN without a background.
        border: (T,) int, px between the target and the nearest edge of the image; 0 touches it.
    """

    image: np.ndarray
    area: np.ndarray
    scr: np.ndarray
    contrast: np.ndarray
    border: np.ndarray


@dataclass(frozen=True)
class Images:
    """The N images of a set, in order.

    Attributes:
        targets: (N,) int, number of targets.
        height: (N,) int, px.
        width: (N,) int, px.
        mean: (N,) mean grey level, as a fraction of the full range (255 or 65535).
        std: (N,) standard deviation of the grey levels, likewise.
        share: (N,) target pixels / all pixels.
        slope: (N,) of the background's spectrum, see `spectrum.slope`; NaN for flat or tiny images.
    """

    targets: np.ndarray
    height: np.ndarray
    width: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    share: np.ndarray
    slope: np.ndarray


@dataclass(frozen=True)
class Statistics:
    """The numbers of a set.

    Attributes:
        images: what is known of each image.
        targets: what is known of each target.
        spectra: (N, F) power of each background at `spectrum.FREQUENCIES`, (fraction of full
            range)^2 px^2; NaN where an image is too small to tell.
    """

    images: Images
    targets: Targets
    spectra: np.ndarray


def measure(samples: Iterable[Sample]) -> Statistics:
    """Go through the samples once and measure them."""
    images: list[tuple[float, ...]] = []
    targets: list[tuple[float, ...]] = []
    spectra: list[np.ndarray] = []
    for place, (image, mask, _) in enumerate(samples):
        full = np.iinfo(image.dtype).max
        found = [(place, *target) for target in _targets(image, mask)]
        spectrum = background_spectrum(image, mask)
        mean, std = image.mean(dtype=np.float64) / full, image.std(dtype=np.float64) / full
        images.append((len(found), *image.shape, mean, std, mask.mean(), slope(spectrum)))
        targets += found
        spectra.append(spectrum)
    return Statistics(
        Images(*_columns(images, (int, int, int, float, float, float, float))),
        Targets(*_columns(targets, (int, int, float, float, int))),
        np.array(spectra).reshape(len(spectra), len(FREQUENCIES)),
    )


def shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """The part of the values in each bin, which add up to 1.

    Args:
        values: any number; NaN is left out.
        edges: (B + 1,) increasing. What lies outside is counted in the first or the last bin.

    Returns:
        (B,); NaN if there is no value.
    """
    known = values[~np.isnan(values)]
    counts, _ = np.histogram(np.clip(known, edges[0], edges[-1]), edges)
    return counts / known.size if known.size else np.full(len(edges) - 1, np.nan)


def overlap(a: np.ndarray, b: np.ndarray, edges: np.ndarray) -> float:
    """Overlap coefficient of two samples' histograms: sum over the bins of min(p, q).

    1 if the histograms are the same, 0 if no bin has values of both; 1 - the total variation
    distance (Inman & Bradley, Comm. Stat. 1989). It grows with the width of the bins.

    Args:
        a: values of one sample; NaN is left out.
        b: values of the other.
        edges: see `shares`.

    Returns:
        In [0, 1]; NaN if a sample is empty.
    """
    return float(np.minimum(shares(a, edges), shares(b, edges)).sum())


def _targets(image: np.ndarray, mask: np.ndarray) -> list[tuple[float, ...]]:
    """Area, SCR, contrast and distance to the border of each target."""
    components, labels = label_components(mask)
    boxes = find_objects(labels)
    full = np.iinfo(image.dtype).max
    found: list[tuple[float, ...]] = []
    for area, box, contrast in zip(
        components.area, boxes, contrasts(image, mask, labels, boxes), strict=True
    ):
        scr = np.nan if contrast.scr is None else contrast.scr
        signal = (contrast.target - contrast.background) / full
        before = min(side.start for side in box)
        after = min(n - side.stop for n, side in zip(mask.shape, box, strict=True))
        found.append((int(area), scr, signal, min(before, after)))
    return found


def _columns(rows: Sequence[tuple[float, ...]], types: Sequence[type]) -> list[np.ndarray]:
    """The rows as one array a column, also where there is no row."""
    columns = zip(*rows, strict=True) if rows else [()] * len(types)
    return [np.array(column, kind) for column, kind in zip(columns, types, strict=True)]
