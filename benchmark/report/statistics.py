"""What a finite set of test images says about scores: intervals, paired tests, mean ranks.

Every metric is a ratio of sums over images (IoU: intersections / unions, Pd: hits / targets, ...), and
a method's number is the mean of that ratio over its seeds. All that is asked here is what ANOTHER DRAW
OF TEST IMAGES would change; the trained networks stay as they are. So images are what is resampled, and
one resample takes the scores of all seeds on an image together: the seeds share its difficulty, and
three seeds on 86 images are not 258 images. What another training would change is another question,
which the spread over seeds answers.

Assumed throughout: the images are independent draws from what the methods will meet. Frames of one
video are not; then intervals are too narrow and p values too small.

Everything is a function of the arguments alone (`seed` sets the random draws). Simulated rates:
tests/benchmark/test_statistics.py.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

_LEAST_ERROR = 0.5  # of the sample's own standard error, see `interval`
_BLOCK = 1 << 18  # numbers in a temporary array: 2 MiB stay in the processor's cache
_EQUAL = 1e-12  # scores, fractions, that differ by less differ by rounding only


class Ratio(NamedTuple):
    """A metric's counts, (seeds, images) each, with 0 <= part <= whole."""

    part: np.ndarray
    whole: np.ndarray


class Interval(NamedTuple):
    """Bounds of a score as fractions; NaN where the score itself is."""

    low: float
    high: float


class Problem(NamedTuple):
    """One metric on one test set."""

    test_set: str
    higher: bool  # whether a larger score is better
    ratios: dict[str, Ratio]  # by method


class Ranked(NamedTuple):
    """A method's mean rank, 1 is best, with its interval."""

    mean: float
    low: float
    high: float


def estimate(ratio: Ratio) -> float:
    """A method's number: the mean over seeds of sum(part) / sum(whole).

    NaN if some seed's whole is 0 on all images (Pd without any target): 0/0 is no score.
    """
    return float(_scores(*_floats(ratio), np.ones((1, np.shape(ratio.part)[1])))[0])


def interval(ratio: Ratio, level: float = 0.95, resamples: int = 1999, seed: int = 0) -> Interval:
    """Which scores on all images of this kind agree with the score on this sample of them?

    A bootstrap-t interval (Efron & Tibshirani 1993, chapter 12). Images are drawn with replacement;
    how far the resample's score is from the sample's is divided by the resample's OWN standard
    error, and the quantiles of this ratio take the place of Student's. IoU and Fa need it: one image
    with a huge false alarm moves score and error together. Scores are compared as
    arcsin(sqrt(score)), which evens out the error of a proportion or of a small rate and keeps the
    bounds in [0, 1].

    Two rules for few misses or few false alarms. A resample's error counts as at least half of the
    sample's, else one that happened to draw none of them would claim to be exact. And the bounds are
    cut to those of `_largest_mean`. So with all targets hit in 86 images Pd is in [0.958, 1]; without
    a false alarm Fa is in [0, 0.042], which is true and of little use, for nothing tells how large a
    false alarm would be; images that show no spread (one image) tell nothing: [0, 1].

    Args:
        ratio: the counts of one method.
        level: nominal coverage.
        resamples: how many; 1999 leave 50 beyond each bound of a 95 % interval.
        seed: of the draws.

    Raises:
        ValueError: a part is negative or larger than its whole.
    """
    part, whole = _floats(ratio)
    if not ((part >= 0) & (part <= whole)).all():
        raise ValueError("an interval needs 0 <= part <= whole in each image")
    score, error = (x.item() for x in _angles(part, whole, np.ones((1, part.shape[1]))))
    if math.isnan(score):
        return Interval(math.nan, math.nan)
    low, high = 0.0, 1.0
    if error > 1e-9:
        scores, errors = _angles(part, whole, _draws(part.shape[1], resamples, seed))
        t = (scores - score) / np.maximum(errors, _LEAST_ERROR * error)
        tail = (1 - level) / 2
        above, below = np.quantile(t[~np.isnan(t)], [tail, 1 - tail])
        low, high = (_from_angle(score - error * bound) for bound in (below, above))
    seen = whole.any(axis=0)
    share = 1 / len(whole) / whole[:, seen].mean(axis=1)  # of an image in the score
    most = _largest_mean(share @ part[:, seen], level)
    least = 1 - _largest_mean(share @ (whole - part)[:, seen], level)
    return Interval(max(low, least), min(high, most))


def paired_test(first: Ratio, second: Ratio, resamples: int = 9999, seed: int = 0) -> float:
    """Would methods of equal worth differ as much as these two do on these images?

    A two-sided permutation test (Good 2005). If the methods are alike, their names on an image are
    arbitrary: swap the counts of randomly chosen images, all seeds of an image together, and count
    how often the estimates then differ at least as much. p = (1 + count) / (1 + resamples), so never
    0. With different numbers of seeds each seed is repeated up to the least common multiple, which
    leaves the estimates as they are and gives equally many to swap.

    Exact if the two may be exchanged on each image. If they only have the same score, with other
    spreads or numbers of seeds, it is an approximation: the simulations say how good.

    Args:
        first: one method's counts.
        second: the other's, on the same images in the same order.
        resamples: how many; with Holm over m pairs p cannot get below m / (1 + resamples).
        seed: of the swaps.

    Returns:
        The p value; 1 for equal estimates, and where an estimate is NaN.

    Raises:
        ValueError: not the same number of images.
    """
    if np.shape(first.part)[1] != np.shape(second.part)[1]:
        raise ValueError("a paired test needs the same images for both methods")
    seeds = math.lcm(len(first.part), len(second.part))
    a, b = (
        np.stack([np.tile(counts, (seeds // len(counts), 1)) for counts in _floats(ratio)])
        for ratio in (first, second)
    )  # (part or whole, seed, image) each
    swapped = np.reshape(b - a, (2 * seeds, -1)).T
    observed = abs(estimate(first) - estimate(second))
    count = 0
    for swap in _blocks(_swaps(a.shape[2], resamples, seed)):
        moved = (swap @ swapped).reshape(-1, 2, seeds)
        x, y = a.sum(axis=2) + moved, b.sum(axis=2) - moved
        with np.errstate(invalid="ignore"):
            difference = (x[:, 0] / x[:, 1] - y[:, 0] / y[:, 1]).mean(axis=1)
        # Written so that NaN counts, as the cautious side.
        count += int((~(np.abs(difference) < observed - _EQUAL)).sum())
    return (1 + count) / (1 + resamples)


def holm(p_values: Sequence[float]) -> list[float]:
    """Which of many tests hold together? p values adjusted by Holm (1979), in the order given.

    Calling those below 0.05 different makes one false claim or more with probability 0.05 at most,
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
    """Which method is best over several metrics and test sets, and how sure is the order?

    Ranks need no common scale of the metrics; equal scores share the mean of their ranks. The
    interval is the percentile interval over resampled images (Efron & Tibshirani 1993, chapter 13),
    the same images for all methods and metrics of a test set. It tells how stable the ranks are and
    is no confidence interval with a proven coverage: ranks jump, and the mean rank of the best can
    only get worse.

    Args:
        problems: with the same methods each; metrics of one test set carry its name.
        level: of the interval.
        resamples: how many.
        seed: of the draws; every test set has its own draws, by its name.

    Raises:
        ValueError: no problem, or not the same methods in all.
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
    means = np.mean(ranks, axis=0)
    tail = (1 - level) / 2
    low, high = np.nanquantile(means[1:], [tail, 1 - tail], axis=0)
    columns = zip(means[0].tolist(), low.tolist(), high.tolist(), strict=True)
    return {name: Ranked(*column) for name, column in zip(methods, columns, strict=True)}


def _ranks(scores: np.ndarray) -> np.ndarray:
    """Ranks within each row of (n, methods), 1 for the smallest; a row with a NaN is all NaN."""
    difference = scores[:, :, None] - scores[:, None, :]
    lower = (difference > _EQUAL).sum(axis=2)
    equal = (np.abs(difference) <= _EQUAL).sum(axis=2)
    return np.where(np.isnan(scores).any(axis=1, keepdims=True), np.nan, lower + (equal + 1) / 2)


def _floats(ratio: Ratio) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(ratio.part, float), np.asarray(ratio.whole, float)


def _scores(part: np.ndarray, whole: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """The estimate in each resample, (n,); draws (n, images) says how often an image was drawn."""
    with np.errstate(invalid="ignore"):
        return np.concatenate([((w @ part.T) / (w @ whole.T)).mean(axis=1) for w in _blocks(draws)])


def _angles(
    part: np.ndarray, whole: np.ndarray, draws: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """arcsin(sqrt(estimate)) in each resample and its standard error, (n,) each.

    The error is that of the linearised ratio: an image moves a seed's ratio r by
    (part - r * whole) / sum(whole) (Efron & Tibshirani 1993, chapter 22: influence, delta method).
    """
    angles, errors = [], []
    with np.errstate(invalid="ignore", divide="ignore"):
        for w in _blocks(draws):
            sums = w @ whole.T
            ratios = (w @ part.T) / sums
            influence = ((1 / sums) @ part - (ratios / sums) @ whole) / len(part)
            error = np.sqrt(np.einsum("ni,ni->n", w * influence, influence))
            score = np.clip(ratios.mean(axis=1), 0, 1)
            angles.append(np.arcsin(np.sqrt(score)))
            # d arcsin(sqrt(x)) / dx = 1 / (2 sqrt(x (1 - x))); at 0 and 1 the error is 0 as well.
            errors.append(error / (2 * np.sqrt(np.maximum(score * (1 - score), _EQUAL))))
    return np.concatenate(angles), np.concatenate(errors)


def _from_angle(angle: float) -> float:
    return math.sin(min(max(angle, 0.0), math.pi / 2)) ** 2


def _largest_mean(values: np.ndarray, level: float) -> float:
    """How large may the mean over all images be, given these values >= 0, most of them 0?

    The fraction of images whose value is not 0 is at most the bound of Clopper & Pearson (1934), an
    exact one. Such an image is taken to have the mean of those seen, and at least 1, an image's
    average share of the whole: nothing better is known where few or none were seen.
    """
    from scipy.special import betaincinv  # heavy; only where an interval is asked for

    n, positive = len(values), values[values > 0]
    size = max(1.0, positive.mean()) if positive.size else 1.0
    fraction = (
        betaincinv(positive.size + 1, n - positive.size, (1 + level) / 2)
        if positive.size < n
        else 1.0
    )
    return min(1.0, float(size * fraction))


@lru_cache(maxsize=16)
def _draws(images: int, resamples: int, seed: int, name: str = "") -> np.ndarray:
    """How often each image is in each resample, (resamples, images)."""
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    counts = rng.multinomial(images, np.full(images, 1 / images), resamples)
    return counts.astype(np.min_scalar_type(images))


@lru_cache(maxsize=4)
def _swaps(images: int, resamples: int, seed: int) -> np.ndarray:
    """Whether each image is swapped, (resamples, images)."""
    return np.random.default_rng(seed).integers(0, 2, (resamples, images), dtype=bool)


def _blocks(rows: np.ndarray) -> Iterator[np.ndarray]:
    """The rows as floats, a cache-sized block at a time."""
    step = max(1, _BLOCK // rows.shape[1])
    for start in range(0, len(rows), step):
        yield rows[start : start + step].astype(float)
