"""Power of n seeds: standard formulas for normal samples, two-sided at 5 %.

SciPy is loaded on the first call. `std` is the standard deviation over seeds, in any unit; results
are in the same unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable

ALPHA = 0.05
POWER = 0.8


def std_interval(std: float, n: int) -> tuple[float, float]:
    """95 % interval of the true standard deviation, from the sample's: s sqrt((n - 1) / chi2)."""
    from scipy.stats import chi2

    low, high = chi2.ppf([1 - ALPHA / 2, ALPHA / 2], n - 1)
    return std * math.sqrt((n - 1) / low), std * math.sqrt((n - 1) / high)


def half_width(std: float, n: int) -> float:
    """Half the 95 % t interval of the mean of n seeds: t s / sqrt(n)."""
    from scipy.special import stdtrit  # loads in half the time of scipy.stats

    return float(stdtrit(n - 1, 1 - ALPHA / 2)) * std / math.sqrt(n)


def power(difference: float, std: float, n: int) -> float:
    """Chance that the two-sample t test sees a true difference, n seeds each (noncentral t)."""
    from scipy.stats import nct, t

    free = 2 * n - 2
    critical = t.ppf(1 - ALPHA / 2, free)
    shift = difference / (std * math.sqrt(2 / n))
    # The second term is a significant difference of the wrong sign; `cdf` would give NaN there.
    return float(nct.sf(critical, free, shift) + nct.sf(critical, free, -shift))


def detectable(std: float, n: int) -> float:
    """The smallest true difference that n seeds each see with 80 % power."""
    from scipy.optimize import brentq

    # Between no difference, seen in 5 % of cases, and one of 12 standard errors: even two seeds
    # see that, and SciPy's noncentral t fails for much larger ones.
    return float(brentq(lambda d: power(d, std, n) - POWER, 0.0, 12 * std * math.sqrt(2 / n)))


def seeds_needed(difference: float, std: float) -> int:
    """The least n that sees a true difference with 80 % power."""
    return _least(lambda n: power(difference, std, n) >= POWER)


def paired_power(difference: float, std: float, n: int) -> float:
    """Chance that the t interval of n paired differences is on the right side of 0 (noncentral t).

    Args:
        difference: the true mean of the differences.
        std: their standard deviation.
        n: pairs.
    """
    from scipy.special import nctdtr, stdtrit

    shift = abs(difference) / (std / math.sqrt(n))
    return 1 - float(nctdtr(n - 1, shift, stdtrit(n - 1, 1 - ALPHA / 2)))


def pairs_needed(difference: float, std: float, most: int = 1000) -> int | None:
    """The least number of pairs that sees a true mean difference with 80 % power.

    None for more than `most`, by the normal approximation, which needs a little less than t:
    n = ((z(0.975) + z(0.8)) s / d)^2 = 7.85 (s / d)^2.
    """
    if 7.85 * std**2 > most * difference**2:
        return None
    return _least(lambda n: paired_power(difference, std, n) >= POWER)


def _least(enough: Callable[[int], bool]) -> int:
    """The least n from 2 on that is enough, if all that are larger are."""
    high = 2
    while not enough(high):
        high *= 2
    low = high // 2  # too few, or 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def worse_wins(difference: float, std: float, n: int) -> float:
    """Chance that the worse method has the larger mean of n seeds each: Phi(-d / (s sqrt(2/n)))."""
    return 0.5 * math.erfc(difference / (std * math.sqrt(2 / n)) / math.sqrt(2))


def best_of_three(std: float) -> float:
    """How far the best of three seeds lies above the mean, on average: 3 s / (2 sqrt(pi))."""
    return 1.5 * std / math.sqrt(math.pi)
