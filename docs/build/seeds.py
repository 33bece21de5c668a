"""The page on seeds: everything in it follows from the three published runs."""

from __future__ import annotations

from statistics import mean, stdev

from benchmark.figures.markdown import table
from benchmark.report.power import (
    best_of_three,
    detectable,
    half_width,
    seeds_needed,
    std_interval,
    worse_wins,
)

SOURCE = "github.com/Arialliy/OHCM-MSHNet"
SEEDS = (42, 43, 44)
RUNS = {  # percent; the table of SOURCE, dated 2026-06-17
    "IoU": (76.55, 81.75, 83.69),
    "nIoU": (79.51, 83.72, 86.16),
    "Pd": (97.57, 97.14, 98.31),
}
TARGETS = 945  # in the 664 test images, as printed there
DIFFERENCES = (0.5, 1.0, 2.0, 3.0, 5.0)
COUNTS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
LINES = (1, 3, 5, 10)  # seeds each, in the table of wrong winners

IOU = RUNS["IoU"]
STD = stdev(IOU)


def page() -> str:
    """`seeds.md`."""
    sections = (_published, _one_method, _two_methods, _one_run_each, _what_to_do, _our_tables)
    return "\n".join(section() for section in sections)


def _published() -> str:
    """The three runs."""
    spread = max(IOU) - min(IOU)
    published = table(
        ["seed", *(str(seed) for seed in SEEDS), "mean", "sample std"],
        (
            [name, *(f"{value:.2f}" for value in values), f"{mean(values):.2f}",
             f"{stdev(values):.2f}"]
            for name, values in RUNS.items()
        ),
    )  # fmt: skip
    return f"""\
# What n seeds buy

*Written by `python run_benchmark.py docs`; the numbers are computed in `docs/build`.*

The same network, loss, data and code, trained three times with nothing but another seed:

{published}

In percent: MSHNet with the SLS loss inside BasicIRSTD on NUDT-SIRST, 663 training and 664 test
images, 400 epochs, last checkpoint. Source: {SOURCE}, a user's repository,
table dated 2026-06-17, which prints the same means and standard deviations (nIoU: 3.37, presumably
from unrounded values). It is one log of one method, scored at the last checkpoint: take what
follows as an example of the arithmetic, not as the spread of every method. A table with one run of
each method hides this: **two seeds of one method are {spread:.1f} points of IoU apart**.

![Seeds of one method, what n seeds tell, and how often the worse method wins](seeds.png)
"""


def _one_method() -> str:
    """How well a mean is known."""
    low, high = std_interval(STD, len(IOU))
    three = half_width(STD, 3)
    return f"""\
## One method: how well is its mean known?

- The standard deviation of the three IoU is {STD:.2f} points. From three values it is itself hardly
  known: its 95 % interval (chi-square) is {low:.1f} to {high:.1f}.
- The mean is {mean(IOU):.1f} with a 95 % t interval of ±{three:.1f}: {mean(IOU) - three:.1f} to
  {mean(IOU) + three:.1f}.
- Whoever runs three seeds and prints the best one is, on average, {best_of_three(STD):.1f} points
  above the mean without having changed anything (3 s / (2 √π)).
"""


def _two_methods() -> str:
    """Which difference is seen."""
    low, high = std_interval(STD, len(IOU))
    means = table(
        ["n seeds", *map(str, COUNTS)],
        (
            ["mean known to ±", *(f"{half_width(STD, n):.1f}" for n in COUNTS)],
            ["smallest difference seen", *(f"{detectable(STD, n):.1f}" for n in COUNTS)],
            [
                f"... if the std is {low:.1f}, the low end",
                *(f"{detectable(low, n):.1f}" for n in COUNTS),
            ],
        ),
    )
    return f"""\
## Two methods: which difference can be seen?

Points of IoU, for a standard deviation of {STD:.2f} in both methods:

{means}

*Mean known to*: half the 95 % t interval of the mean of n seeds. *Smallest difference seen*: the
true difference that a two-sample t test at 5 % finds in 80 % of cases with n seeds for each method
(noncentral t). The last line is the same for the smallest standard deviation that the three runs
allow; for the largest, {high:.0f}, every difference would be {high / STD:.1f} times that for
{STD:.2f}.
"""


def _one_run_each() -> str:
    """How often the worse method wins."""
    wrong = table(
        ["true difference", *(f"{d:g}" for d in DIFFERENCES)],
        (
            *(
                [
                    f"worse method wins, {n} seed{'s' if n > 1 else ''} each",
                    *(_percent(worse_wins(d, STD, n)) for d in DIFFERENCES),
                ]
                for n in LINES
            ),
            ["seeds each to see it", *(str(seeds_needed(d, STD)) for d in DIFFERENCES)],
        ),
    )
    return f"""\
## One run each: how often does the worse method win?

The mean of n seeds of a method that is truly worse by d points is the larger one with probability
Φ(−d / (s √(2/n))), s = {STD:.2f}:

{wrong}

With one seed each, a method that is 1 point better loses {100 * worse_wins(1, STD, 1):.0f} of 100
such comparisons; a coin loses 50. The last line: seeds that each method needs for 80 % power.
"""


def _what_to_do() -> str:
    """Consequences for a study."""
    return f"""\
## What to do

- Say how many seeds, and give mean and standard deviation, never the best.
- Three seeds show large differences ({detectable(STD, 3):.0f} points here), and that a spread is
  large; for small differences they are too few.
- Where the spread is as large as here, look for its cause first: a smaller spread is worth more
  than seeds, since the number of seeds goes with its square.
- The two-sample formulas take the runs of two methods as independent. Our seeds are paired: two
  losses see the same crops in the same order. If that makes runs of the same seed rise and fall
  together, their differences vary less than this; three seeds cannot show whether it does.
"""


def _our_tables() -> str:
    """Statements of our tables on seeds and images."""
    pd_std, pd = stdev(RUNS["Pd"]), mean(RUNS["Pd"]) / 100
    by_images = 100 * (pd * (1 - pd) / TARGETS) ** 0.5
    return f"""\
## How our tables use seeds and images

**Mean ± sample standard deviation over seeds; bootstrap intervals over images.** They answer
different questions. The first: what if it were trained again, and tested on the same images? The
second: what if the same trained network were tested on other images of the same kind? Both are
sources of uncertainty, and neither replaces the other. Here, for Pd: {pd_std:.2f} points over the
seeds, and, if its {TARGETS} targets were independent draws, a standard error of {by_images:.2f}
points from the choice of targets. All three runs share those, so their spread does not contain it.
More seeds shrink the first, more test images the second.

All of this takes the runs as draws from a normal distribution, which three values can neither
support nor refute.
"""


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.005 else "under 0.5 %"
