"""Evidence of a finite set of test images on scores: intervals, paired tests, mean ranks.

Every metric is a ratio of sums over images (IoU: intersections / unions, Pd: hits / targets, ...)
and a method's number is the mean of that ratio over its seeds. All that is asked here is what
ANOTHER DRAW OF TEST IMAGES would change; the trained networks stay as they are. So images are
what is resampled, with the counts of all seeds on an image together: the seeds share its
difficulty, and three seeds on 86 images are not 258 images. What another training would change is
another question, which the spread over seeds answers.

Assumed throughout: the images are independent draws from what the methods will meet. Frames of
one video are not; then intervals are too narrow and p values too small.

All results follow from the arguments alone (`seed` sets the random draws). How often the
intervals cover and the tests err was simulated: see tests/benchmark/report/test_resampling.py.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_LEAST_ERROR = 0.5  # of the sample's standard error, see `interval`
_CALIBRATION = 20  # images, see `interval`
_ENOUGH = 100  # differences as large as the observed one: p is known to a tenth of itself
_TINY = 1e-12  # scores differ by less through rounding only
_BLOCK = 1 << 16  # numbers in a temporary array, half a MiB: they stay in the processor's cache


class Ratio(NamedTuple):
    """A metric's counts, (seeds, images) each, with 0 <= part <= whole."""

    part: np.ndarray
    whole: np.ndarray


class Interval(NamedTuple):
    """Bounds of a score, as fractions; NaN where the score itself is."""

    low: float
    high: float


class Problem(NamedTuple):
    """One metric on one test set."""

    test_set: str
    higher: bool  # whether a larger score is better
    ratios: dict[str, Ratio]  # by method


class Ranked(NamedTuple):
    """A method's mean rank, 1 is best, and its interval."""

    mean: float
    low: float
    high: float


def estimate(ratio: Ratio) -> float:
    """A method's number: the mean over seeds of sum(part) / sum(whole).

    NaN if a seed's whole is 0 on all images (Pd without any target): 0/0 is no score.
    """
    part, whole = _floats(ratio)
    return _scores(part, whole, np.ones((1, part.shape[1]))).item()


def interval(ratio: Ratio, level: float = 0.95, resamples: int = 1999, seed: int = 0) -> Interval:
    """Which scores on all images of this kind agree with the score on this sample of them?

    A bootstrap-t interval (Efron & Tibshirani 1993, chapter 12). Images are drawn with replacement;
    the distance of the resample's score from the sample's is divided by the resample's OWN standard
    error, and the quantiles of these t values take the place of Student's. IoU and Fa need it: one
    image with a huge false alarm moves score and error together. Scores are compared as
    arcsin(sqrt(score)): that evens out the error of a proportion and of a small rate, and keeps the
    bounds in [0, 1].

    A hundred images tell little of what one image in a hundred does: the plain interval covers a
    little less than it claims. So it is calibrated (Loh 1987): the tails beyond it are made smaller
    by the factor 1 - 20 / images, at most by half, which was chosen by simulation.

    Two rules for few misses or few false alarms: a resample's error counts as at least half of the
    sample's, else one without any of them would claim to be exact; and the bounds are cut to those
    of `_largest_mean`. So with all targets hit in 86 images Pd is in [0.958, 1]; without a false
    alarm Fa is in [0, 0.042], true but of little use, as nothing tells how large one would be; and
    images that show no spread (a single one) tell nothing: [0, 1].

    Raises:
        ValueError: a part is negative or larger than its whole.
    """
    part, whole = _floats(ratio)
    if not ((part >= 0) & (part <= whole)).all():
        raise ValueError("an interval needs 0 <= part <= whole in each image")
    angle, error = (x.item() for x in _angles(part, whole, np.ones((1, part.shape[1]))))
    if math.isnan(angle):
        return Interval(math.nan, math.nan)
    low, high = 0.0, 1.0
    if error > 1e-9:
        angles, errors = _angles(part, whole, _draws(part.shape[1], resamples, seed))
        t = (angles - angle) / np.maximum(errors, _LEAST_ERROR * error)
        outside = (1 - level) / 2 * max(1 - _CALIBRATION / part.shape[1], 0.5)
        bounds = np.quantile(t[~np.isnan(t)], [1 - outside, outside])
        low, high = (np.sin(np.clip(angle - bounds * error, 0, np.pi / 2)) ** 2).tolist()
    seen = whole.any(axis=0)
    scale = 1 / len(whole) / whole[:, seen].mean(axis=1)  # the score is the mean of scale @ part
    most = _largest_mean(scale @ part[:, seen], level)
    least = 1 - _largest_mean(scale @ (whole - part)[:, seen], level)
    return Interval(max(low, least), min(high, most))


def paired_test(first: Ratio, second: Ratio, resamples: int = 9999, seed: int = 0) -> float:
    """Would methods of equal worth differ as much as these two do on these images?

    A two-sided permutation test (Good 2005). If the methods are alike, their names on an image are
    arbitrary: swap the counts of randomly chosen images, all seeds together, and see how often the
    two differ as much as they do. The difference of arcsin(sqrt(score)) is divided by its standard
    error after the same swaps. So the test is exact if the two may be exchanged on each image, and
    holds approximately if they only have the same score, with other spreads (Chung & Romano 2013).
    With different numbers of seeds each seed is repeated up to the least common multiple: the
    scores stay as they are and there are equally many to swap; this, too, is approximate.

    Args:
        first: one method's counts.
        second: the other's, on the same images in the same order.
        resamples: at most; no more are drawn once 100 differ as much (Besag & Clifford 1991).
        seed: of the swaps.

    Returns:
        (1 + those that differ as much) / (1 + those drawn); 1 for equal scores and for a NaN.

    Raises:
        ValueError: not the same number of images.
    """
    a, b = (np.stack(_floats(ratio)) for ratio in (first, second))  # (part or whole, seed, image)
    if a.shape[2] != b.shape[2]:
        raise ValueError("a paired test needs the same images for both methods")
    seeds, images = math.lcm(a.shape[1], b.shape[1]), a.shape[2]
    a, b = (np.tile(x, (1, seeds // x.shape[1], 1)).reshape(2 * seeds, images) for x in (a, b))
    observed = _distances(a, b, np.ones((1, images))).item()
    if not observed > _TINY:
        return 1.0
    count = drawn = 0
    for signs in _blocks(_signs(images, resamples, seed)):
        # Rounding must not tell equal distances apart. A NaN counts: the cautious side.
        count += int(np.count_nonzero(~(_distances(a, b, signs) < observed * (1 - 1e-9))))
        drawn += len(signs)
        if count >= _ENOUGH:
            break
    return (1 + count) / (1 + drawn)


def holm(p_values: Sequence[float]) -> list[float]:
    """Which of many tests hold together? p values adjusted by Holm (1979), in the order given.

    Of all claims made at an adjusted p < 0.05, even one is false with probability 0.05 at most,
    however the tests depend on each other.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    return np.minimum(adjusted, 1).tolist()


def mean_ranks(
    problems: Sequence[Problem], level: float = 0.95, resamples: int = 1999, seed: int = 0
) -> dict[str, Ranked]:
    """Which method is best over several metrics and test sets, and how firm is the order?

    Ranks need no common scale of the metrics; equal scores share the mean of their ranks. The
    interval is the percentile interval (Efron & Tibshirani 1993, chapter 13) over resampled images,
    the same for all methods and metrics of a test set. It shows how stable the ranks are and has no
    proven coverage: ranks jump, and the best one's can only get worse.

    Args:
        problems: with the same methods each; the metrics of one test set carry its name, by which
            it gets its own draws.
        level: of the interval.
        resamples: how many.
        seed: of the draws.

    Raises:
        ValueError: no problem, not the same methods in all, or a score is NaN.
    """
    methods = sorted({name for problem in problems for name in problem.ratios})
    if not problems or any(len(problem.ratios) < len(methods) for problem in problems):
        raise ValueError("mean ranks need problems that all have the same methods")
    ranks = []
    for problem in problems:
        counts = [_floats(problem.ratios[name]) for name in methods]
        images = counts[0][0].shape[1]
        draws = _draws(images, resamples, seed, problem.test_set)
        draws = np.concatenate([np.ones((1, images), draws.dtype), draws])  # the sample comes first
        scores = np.stack([_scores(*pair, draws) for pair in counts], axis=1)
        ranks.append(_ranks(-scores if problem.higher else scores))
    mean, *resampled = np.mean(ranks, axis=0)
    if np.isnan(mean).any():
        raise ValueError("mean ranks need scores that are no NaN")
    outside = (1 - level) / 2
    low, high = np.nanquantile(resampled, [outside, 1 - outside], axis=0)
    columns = (mean.tolist(), low.tolist(), high.tolist())
    return dict(zip(methods, map(Ranked, *columns), strict=True))


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks within each row of (n, methods), 1 for the smallest; a row with a NaN is all NaN."""
    above = scores[:, :, None] - scores[:, None, :]
    lower, equal = (above > _TINY).sum(axis=2), (np.abs(above) <= _TINY).sum(axis=2)
    return np.where(np.isnan(scores).any(axis=1, keepdims=True), np.nan, lower + (equal + 1) / 2)


def _scores(part: np.ndarray, whole: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The estimate in each resample, (n,); draws (n, images) says how often an image was drawn."""
    with np.errstate(invalid="ignore"):
        every = [((w @ part.T) / (w @ whole.T)).mean(axis=1) for w in _blocks(draws)]
    return np.concatenate(every)


def _angles(
    part: np.ndarray, whole: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """arcsin(sqrt(estimate)) in each resample and its standard error, (n,) each.

    The error is the delta method's: an image moves a ratio r by (part - r whole) / sum(whole).
    """
    angles, errors = [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for w in _blocks(draws):
            angle, weights = _linear(w @ part.T, w @ whole.T)
            influence = weights @ np.concatenate([part, whole])
            angles.append(angle)
            errors.append(np.sqrt(np.einsum("ni,ni->n", w * influence, influence)))
    return np.concatenate(angles), np.concatenate(errors)


def _distances(a: np.ndarray, b: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """How many standard errors two methods are apart after swaps, without sign, (n,).

    Args:
        a: one method's counts, (parts of all seeds and then wholes, images).
        b: the other's, the same shape.
        signs: (n, images), -1 where the two are swapped, else 1.
    """
    middle, half = (a + b) / 2, (a - b) / 2  # after the swaps: middle +- signs * half
    moved = signs @ half.T
    with np.errstate(invalid="ignore", divide="ignore"):
        (x, x_weights), (y, y_weights) = (
            _linear(*np.split(middle.sum(axis=1) + change, 2, axis=1)) for change in (moved, -moved)
        )
        influence = (x_weights - y_weights) @ middle + signs * ((x_weights + y_weights) @ half)
    error = np.sqrt(np.einsum("ni,ni->n", influence, influence))
    return np.abs(x - y) / np.maximum(error, _TINY)


def _linear(part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """arcsin(sqrt(mean of part / whole)), (n,), of sums (n, seeds), and how counts move it.

    The weights (n, 2 seeds) are for an image's parts and then wholes.
    """
    ratios = part / whole
    score = np.clip(ratios.mean(axis=1), 0, 1)
    # The derivative; at 0 and 1, where it is infinite, all influences are 0 anyway.
    slope = 0.5 / np.sqrt(np.maximum(score * (1 - score), _TINY))
    weights = slope[:, None] / part.shape[1] / whole
    return np.arcsin(np.sqrt(score)), np.concatenate([weights, -weights * ratios], axis=1)


def _largest_mean(values: np.ndarray, level: float) -> float:
    """How large may the mean over all images be, given these values >= 0, most of them 0?

    The fraction of images whose value is not 0 is at most the exact bound of Clopper & Pearson
    (1934). Each such image is taken to be as bad as the worst one seen, and to lose all that an
    average image has (1) at least: nothing better is known where few or none were seen.
    """
    from scipy.special import betaincinv  # slow to import: only where an interval is asked for

    n, positive = len(values), np.count_nonzero(values)
    if positive == n:
        return 1.0
    fraction = betaincinv(positive + 1, n - positive, (1 + level) / 2)
    return min(1.0, float(fraction * values.max(initial=1.0)))


def _floats(ratio: Ratio) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(ratio.part, float), np.asarray(ratio.whole, float)


@lru_cache(maxsize=16)
def _draws(images: int, resamples: int, seed: int, name: str = "") -> np.ndarray:
    """How often each image is in each resample, (resamples, images)."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    counts = rng.multinomial(images, np.full(images, 1 / images), resamples)
    return counts.astype(np.min_scalar_type(images))


@lru_cache(maxsize=4)
def _signs(images: int, resamples: int, seed: int) -> np.ndarray:
    """-1 where an image is swapped, else 1, (resamples, images)."""
    return np.random.default_rng(seed).choice(np.array([-1, 1], np.int8), (resamples, images))


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows as floats, a block of them at a time."""
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step].astype(float)
