"""The page on the synthetic set: its numbers beside those of the real SIRST images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from benchmark.data.figures.comparison import QUANTILES, Line, compare
from benchmark.data.figures.comparison_figure import CROP, comparison_figure
from benchmark.data.figures.named_set import NamedSet, read_set
from benchmark.data.figures.quantities import AREA, CONTRAST, COUNT, SCR, SLOPE, STD, quantiles
from benchmark.data.figures.sheet import contact_sheet
from benchmark.data.figures.summary import number, spread
from benchmark.figures.markdown import table
from benchmark.figures.png import png
from benchmark.figures.style import drawing
from datasets.spectrum import FITTED

OURS, REAL, HELD_OUT = "synthetic@train", "sirst@trainval", "sirst@test"
CLOSE = 0.05
"""A quantity counts as alike if its overlap falls no further below its ceiling."""
_OF_LEVELS = (AREA, SCR, CONTRAST, COUNT, STD, SLOPE)


def contents(root: Path, console: Console) -> dict[str, str | bytes]:
    """`synthetic.md` and its pictures, by name of the file.

    Args:
        root: folder that holds SIRST.
        console: where progress goes.

    Raises:
        UserError: SIRST is not there, or a file of it is broken.
    """
    ours, real, held_out = (read_set(name, root, console) for name in (OURS, REAL, HELD_OUT))
    lines, held_out_lines = compare(ours, real), compare(ours, held_out)
    levels = [
        read_set(f"{ours.name}:{level}@{ours.split}", None, console)
        for level in ours.entry.info.variants
    ]
    with drawing():
        figure = png(comparison_figure(ours, real, lines, only_first=True))
        sheet = png(contact_sheet(ours))
    page = _page(ours, real, lines, held_out_lines, levels)
    return {"synthetic.md": page, "synthetic.png": figure, "synthetic_sheet.png": sheet}


def _page(
    ours: NamedSet,
    real: NamedSet,
    lines: dict[str, Line],
    held_out: dict[str, Line],
    levels: Sequence[NamedSet],
) -> str:
    # The class's docstring without its arguments: true of any version of the generator.
    about = ours.entry.doc.partition("\n\nArgs:")[0]
    return f"""\
# The synthetic set beside real images

*Written by `python run_benchmark.py docs --data-root DIR`, DIR the folder with the SIRST images;
text, tables and pictures are computed from both sets. `make docs` has no data, so it leaves this
page alone.*

{about}

![Crops of the synthetic set, and histograms of both](synthetic.png)

Crops of the synthetic set: {CROP} × {CROP} px around the first target, from the smallest target to
the largest, each with its grey levels stretched (real images are not part of this repository;
`datasets compare`, below, shows both). Spectra: median and quartiles over the images.

## How much they overlap

{_overlaps(ours, real, lines, held_out)}

Median [5 %, 95 %]. *Overlap*: sum over the bins of the smaller of both histograms, so 1 if they are
the same and 0 if they have nothing in common; for the spectrum the mean over the frequencies.
*Ceiling*: what two sets of these sizes overlap by on average if both are drawn from the real one;
chance keeps it below 1. The generator's settings were chosen with the training images of SIRST in
view, so the last two columns repeat the comparison with its test images.

**Alike**, within {CLOSE:g} of the ceiling: {_alike(lines)}.

**Not alike**, the largest gap first:

{_not_alike(lines)}

SCR is the one of our reports: |mean of the target - mean around it| / standard deviation around it,
up to 20 px from the target's box. Contrast is the numerator with its sign. Grey levels are in
percent of the full range of the file. The slope is that of the background's power over the
frequency in logarithms, between the dotted lines (1/{1 / FITTED[0]:.0f} to 1/{1 / FITTED[1]:.0f}
cycles/px), targets filled in. The distance to the border and the share of target pixels depend on
the size of the images, too.

## The levels

{_level_table(levels)}

## One of its pictures at a time

![Contact sheet of the synthetic set](synthetic_sheet.png)

## What this does not show

Histograms are compared one by one. Sets can agree in each of them and still differ in how the
quantities go together, in shapes, and in what else there is in a scene. What a set is worth for
training, only training shows: [an experiment](../results/reference/synthetic-worth/README.md).

The same for any two sets, with a table as CSV:

```sh
python run_benchmark.py datasets compare {OURS} {REAL} --data-root DIR
python run_benchmark.py datasets show {OURS}
```
"""


def _overlaps(
    ours: NamedSet, real: NamedSet, lines: dict[str, Line], held_out: dict[str, Line]
) -> str:
    head = [
        "",
        f"`{ours.label}`, {len(ours.samples)} images",
        f"`{real.label}`, {len(real.samples)} images",
        "overlap",
        "ceiling",
        f"overlap with `{HELD_OUT}`",
        "its ceiling",
    ]
    rows = (
        [
            line.quantity.label,
            spread(line.a),
            spread(line.b),
            *(number(x, ".2f") for other in (line, held_out[key])
              for x in (other.overlap, other.ceiling)),
        ]
        for key, line in lines.items()
    )  # fmt: skip
    return table(head, rows)


def _alike(lines: dict[str, Line]) -> str:
    names = [
        f"{line.quantity.title.lower()} ({line.overlap:.2f})"
        for line in lines.values()
        if line.ceiling - line.overlap <= CLOSE
    ]
    return ", ".join(names).replace("scr", "SCR") or "nothing"


def _not_alike(lines: dict[str, Line]) -> str:
    apart = [line for line in lines.values() if not line.ceiling - line.overlap <= CLOSE]
    apart.sort(key=lambda line: line.overlap - line.ceiling)
    middle = QUANTILES.index(0.5)
    texts = []
    for line in apart:
        text = f"- {line.quantity.title}: {line.overlap:.2f}, ceiling {line.ceiling:.2f}"
        if line.a:
            unit = f" {line.quantity.unit}" if line.quantity.unit else ""
            text += f"; median {number(line.a[middle])} against {number(line.b[middle])}{unit}"
        texts.append(text)
    return "\n".join(texts) or "- nothing"


def _level_table(levels: Sequence[NamedSet]) -> str:
    def cells(subject: NamedSet) -> list[str]:
        return [
            spread(quantiles(quantity.values(subject.statistics)[:, 0], QUANTILES))
            for quantity in _OF_LEVELS
        ]

    head = ["", *(quantity.label for quantity in _OF_LEVELS)]
    return table(head, ([f"`{subject.label}`", *cells(subject)] for subject in levels))
