"""The page on losses: a table of all, and what the figures show, with computed numbers."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from benchmark.figures.discs import (
    AREAS,
    DEEP,
    EDGE,
    EPOCH,
    MIDDLE,
    grow,
    move,
    shifted_location,
    weight,
)
from benchmark.figures.loss_values import AREA, OFF, summaries
from docs.build.protocols import table
from losses import create_loss, list_losses

SHOWN = ("sls", "sls_centroid", "soft_iou", "dice", "tversky", "nwd", "bce", "focal")
"""Losses of the figures. The halves of SLS have figures of their own."""
PICTURES = ("losses_size.png", "losses_place.png", "losses_alpha.png", "losses_location.png")


def page() -> str:
    """The text of `docs/losses.md`."""
    sections = (_all_losses, _growing, _moving, _weight, _place, _without_target)
    return "\n".join(section() for section in sections)


def _all_losses() -> str:
    """The losses by name, with their values."""
    rows = [(f"`{s.name}`", s.paper, s.over, *s.numbers) for s in summaries(list_losses())]
    listing = table(("loss", "paper", "per", "perfect", "empty", f"{OFF} px off"), rows)
    return f"""\
# Losses

Written by `python run_benchmark.py docs`; the numbers are computed by the code that they describe.
`python run_benchmark.py losses` prints the first table, `losses --plot FILE.png` draws the first
two figures for losses of your choice.

{listing}

Values past the warm-up of SLS, for one target of {AREA} px in 256 x 256 and logits of ±{DEEP:.0f}.
Losses *per image* are means over the images of a batch; those *per batch* pool its pixels first,
which lets large targets outweigh small ones; `focal:per_target_pixel=true` and
`soft_iou:whole_batch=true` do so by choice. `dice_mshnet` costs about 1/3 at a perfect prediction:
kept as released, not to be used.
"""


def _growing() -> str:
    """Values and slopes while a disc grows on the target."""
    best = _by_area(lambda name, area: f"{_best(name, area):.2f}")
    return f"""\
## A disc that grows

![Loss and slope while a centred disc grows]({PICTURES[0]})

A soft disc on the centre of a target; at its edge the probability falls from 0.73 to 0.27 within
{2 * EDGE:g} px. Every loss is divided by its value for an empty map, so that cross entropy, a
mean over 65536 pixels, fits beside the others. The slope is by the logarithm of the area. A disc
with a soft edge is no set of pixels, so no loss reaches 0. Area of the disc over that of the target
where each loss is least:

{best}

- SLS prefers a somewhat smaller disc for small targets. Its slope beside the target's size is the
  steepest of the overlap losses there: the weight α makes the tip of α · IoU sharper.
- `focal` and `bce` leave the axes on the right: they add up false pixels where the others saturate.
"""


def _moving() -> str:
    """The same while it moves away."""
    drift = _by_area(_reach)
    return f"""\
## A disc that moves

![Loss and slope while a disc of the right size moves]({PICTURES[1]})

The disc has the target's area and moves right. The shift in px up to which the slope stays above
1 % of an empty map's loss per px, of at most 24 (at whole px; `focal` of 3 px is nearly flat in the
long run, but swings as the disc crosses the grid):

{drift}

- Where disc and target no longer touch, the overlap losses are flat: nothing pulls the disc back.
- SLS has its location term for that; here it adds next to nothing. An empty map costs SLS more than
  a disc anywhere, since it is also at the wrong "place": see below.
- Cross entropy goes on a little longer, because the flank of the disc's logits is broad; what it
  does is to lower wrong pixels and raise right ones, not to move anything.
- Only `nwd` has a slope that reaches far.
"""


def _weight() -> str:
    """The weight of SLS by predicted over true size."""
    alphas = table(
        ("target, px", *map(str, AREAS)),
        [
            ("lowest α for P/T from 0.01 to 100", *(f"{weight(a).alpha.min():.2f}" for a in AREAS)),
            ("α for P → 0", *(f"{a / (a + 4):.2f}" for a in AREAS)),
            ("α for P = 100 T", *(f"{weight(a).alpha[-1]:.3f}" for a in AREAS)),
        ],
    )
    return f"""\
## The weight of SLS is not monotone

![Weight of SLS, and its product with IoU]({PICTURES[2]})

α = (min(P, T) + V) / (max(P, T) + V) with V = ((P − T) / 2)² is 1 for equal sizes, falls, and comes
back to 1 when the sizes differ hugely, because V, a squared number of pixels, outgrows both. For
P → 0 it is T / (T + 4). So it depends on the target's size in pixels, not only on the ratio of the
sizes: strong for the smallest targets, faint for large ones.

{alphas}

The product α · IoU, which the loss uses, still has its one maximum at P = T here, and falls on
either side.
"""


def _place() -> str:
    """The location term of SLS by shift and place."""
    corner, quarter, far = (16.0, 16.0), (64.0, 64.0), (128.0, 128.0)
    moves = (
        ("3 px right and down, from the middle", MIDDLE, (3, 3)),
        ("the same, from (16, 16)", corner, (3, 3)),
        ("from (64, 64) to (192, 192)", quarter, far),
    )
    costs = table(
        ("target, px", *map(str, AREAS)),
        [
            (text, *(f"{shifted_location(area, place, shift):.4f}" for area in AREAS))
            for text, place, shift in moves
        ],
    )
    centroid = math.hypot(3, 3) / math.hypot(256, 256)
    return f"""\
## The place of SLS

![Location term by shift, and by place]({PICTURES[3]})

The location term of the released code compares first moments divided by the number of *pixels*,
measured from the top-left corner, with a length of 1e-4 added under the root. The moments of small
targets are of that order, so moving them costs little. Of a perfect copy in the wrong place:

{costs}

The maps show the cost of the same 3 px by the target's place: the term is not invariant to shifts
or flips. In `sls_centroid` (ours) these 3 px cost {centroid:.4f} at every size and place: the
distance of the centres of mass over the image's diagonal. `sls_centroid:per_target=true` compares
every target with the prediction within 8 px of it: steeper, but beyond that the term is 0 again.

In SLS the term acts more through the coarse outputs of a network with deep supervision: moving
1 px from a quarter to three quarters of both sides costs {_coarse():.2f} on a map of 32 x 32, and
{shifted_location(1, quarter, far):.4f} on 256 x 256.
"""


def _without_target() -> str:
    """Values of SLS for an image without target."""
    value, raised = _sls_without_target()
    return f"""\
## Images without target

With a probability of 0.02 in all of 64 x 64 pixels, SLS in its main phase is {value:.2f}, and
{raised:.0f} % of the pixels have a gradient that *raises* them. The scale term is constant there;
the location term turns the predicted centre towards the top row. In the warm-up the gradient is 0.
`empty_penalty` (0 in the official loss) adds P / (P + 1).
"""


def _by_area(text: Callable[[str, int], str]) -> str:
    """A table with a line for each loss of the figures, and a column for each area."""
    rows = [(f"`{name}`", *(text(name, area) for area in AREAS)) for name in SHOWN]
    return table(("loss", *(f"{area} px" for area in AREAS)), rows)


def _best(name: str, area: int) -> float:
    curve = grow(name, area)
    return curve.x[curve.value.argmin()]


def _reach(name: str, area: int) -> str:
    """Largest shift with a slope above 0.01."""
    curve = move(name, area)
    steep = np.flatnonzero(np.abs(curve.slope) > 0.01)
    return f"{curve.x[steep[-1]]:.0f}" if steep.size else "0"


def _coarse() -> float:
    true, found = torch.zeros(2, 1, 1, 32, 32, dtype=torch.float64)
    true[..., 8, 8] = found[..., 24, 24] = 1
    return create_loss("location")(100 * (2 * found - 1), true, EPOCH).item()


def _sls_without_target() -> tuple[float, float]:
    """SLS of a flat map where nothing is, and the percentage of pixels that its gradient raises."""
    logits = torch.full((1, 1, 64, 64), math.log(0.02 / 0.98), dtype=torch.float64)
    logits.requires_grad_()
    value = create_loss("sls")(logits, torch.zeros_like(logits), EPOCH)
    value.backward()
    assert logits.grad is not None
    return value.item(), 100 * (logits.grad < 0).double().mean().item()
