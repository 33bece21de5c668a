"""IPI: patches of the background resemble each other, so targets are sparse outliers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.errors import UserError
from detectors.classical import ClassicalDetector

_MARGIN = 10  # singular vectors beyond the threshold that are carried along
_TOLERANCE = 1e-5  # relative length of the last proximal step
_MAX_STEPS = 100


class IPI(ClassicalDetector):
    """Infrared patch-image model: low-rank background, sparse targets.

    The patches of the image are the columns of D (m x n). With lambda = 1 / sqrt(max(m, n)),

        min over B, T of  mu ||B||_* + lambda mu ||T||_1 + 1/2 ||D - B - T||_F^2,

    where what is left over is noise, solved by accelerated proximal gradient with continuation in
    mu as in the paper (see `robust_pca` for what differs). A pixel of the target image is the
    median over the patches that cover it; the response is its positive part.

    A last row and column of patches ends flush with the image where the step does not, so every
    pixel is covered. Patches are clipped to the image's sides; an image no larger than one patch
    has no repetition to learn from, and its response is its brightness above its darkest pixel.

    Args:
        patch: side of the patches, px.
        step: distance between patches, px, at most `patch`.
        noise: final mu in units of the fourth singular value of D (our default).
        k: threshold in standard deviations (our default; see `ClassicalDetector`).

    Raises:
        UserError: a step that is not in 1 .. `patch`, or a `noise` that is not positive.
    """

    name = "ipi"
    paper = "Infrared Patch-Image Model for Small Target Detection in a Single Image"
    venue = "IEEE TIP 22(12)"
    year = 2013
    source = "Gao, Meng, Yang, Wang, Zhou, Hauptmann, IEEE TIP 22(12)"

    def __init__(
        self, patch: int = 50, step: int = 10, noise: float = 0.05, k: float = 5.0
    ) -> None:
        if not 1 <= step <= patch:
            raise UserError(f"ipi: step is {step}, must be between 1 and the patch side {patch}")
        if not noise > 0:
            raise UserError(f"ipi: noise is {noise}, must be positive")
        super().__init__(k)
        self.patch, self.step, self.noise = patch, step, noise

    def response(self, x: Tensor) -> Tensor:
        """Images to the positive part of their target image, (B, 1, H, W); one by one."""
        return torch.stack([self._target_image(image[0]) for image in x])[:, None].clamp_min(0.0)

    def _target_image(self, image: Tensor) -> Tensor:
        columns = to_patches(image, self.patch, self.step)
        _, targets = robust_pca(columns, self.noise)
        return from_patches(targets, *image.shape, self.patch, self.step)


def to_patches(image: Tensor, patch: int, step: int) -> Tensor:
    """The patch-image of an image (H, W): one patch per column, (patch area, patches)."""
    rows, columns = (
        _starts(side, patch, step, image.device)[:, None]
        + torch.arange(min(patch, side), device=image.device)
        for side in image.shape
    )
    patches = image[rows[:, None, :, None], columns[None, :, None, :]]
    return patches.flatten(2).flatten(0, 1).T.contiguous()


def from_patches(columns: Tensor, height: int, width: int, patch: int, step: int) -> Tensor:
    """The image (height, width) behind a patch-image: each pixel's median over its patches."""
    (row, y, row_covers), (column, x, column_covers) = (
        _cover(side, patch, step, columns.device) for side in (height, width)
    )
    tall, wide = min(patch, height), min(patch, width)
    across = len(_starts(width, patch, step, columns.device))
    pixel = y[:, None, :, None] * wide + x[None, :, None, :]
    index = row[:, None, :, None] * across + column[None, :, None, :]
    covers = (row_covers[:, None, :, None] & column_covers[None, :, None, :]).flatten(2)
    values = columns.view(tall * wide, -1)[pixel, index].flatten(2)

    ranked = values.masked_fill(~covers, torch.inf).sort(-1).values
    count = covers.sum(-1, keepdim=True)
    middle = torch.cat(((count - 1) // 2, count // 2), -1)  # equal for odd counts
    return ranked.gather(-1, middle).mean(-1)


def _starts(side: int, patch: int, step: int, device: torch.device) -> Tensor:
    """First pixel of each patch along one side, the last one flush with the end."""
    last = max(side - patch, 0)
    return torch.tensor([*range(0, last, step), last], device=device)


def _cover(side: int, patch: int, step: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """The patches over each pixel along one side, each (side, most patches over one pixel).

    Returns:
        Number of the patch, the pixel's place in it, and whether it covers the pixel at all.
    """
    starts = _starts(side, patch, step, device)
    pixel = torch.arange(side, device=device)[:, None]
    inside = (starts <= pixel) & (pixel < starts + patch)
    order = inside.int().argsort(dim=1, descending=True, stable=True)
    number = order[:, : int(inside.sum(1).max())]
    covers = inside.gather(1, number)
    return number, (pixel - starts[number]).where(covers, 0), covers


def robust_pca(D: Tensor, noise: float) -> tuple[Tensor, Tensor]:
    """Split D into low rank and sparse: the minimum that `IPI` states, in at most 100 steps.

    For a given B the best T is known, D - B shrunk by lambda mu, so the iteration is over B alone
    (the paper's is over both): half the Lipschitz constant, hence longer steps. mu is halved from
    the second singular value of D down to `noise` times the fourth, or to 1e-4 times the first
    where that is more, which keeps the rounding errors of an exactly low-rank D out of T. Momentum
    restarts by the gradient rule of O'Donoghue and Candes (2015). Deterministic.

    Args:
        D: (m, n), float32.
        noise: final mu in units of the fourth singular value.

    Returns:
        B and T, each (m, n).
    """
    sparsity = max(D.shape) ** -0.5
    generator = torch.Generator().manual_seed(0)
    basis = _random_columns(D.shape[1], min(_MARGIN, *D.shape), D, generator)
    for _ in range(4):
        _, basis, values = _shrink_singular_values(D, torch.inf, basis, generator)
    first, second, fourth = (float(values[min(i, len(values) - 1)]) for i in (0, 1, 3))
    final = max(noise * fourth, 1e-4 * first)
    tolerance = _TOLERANCE * float(D.norm())

    mu, momentum = second, 1.0
    B = extrapolated = D
    for _ in range(_MAX_STEPS):
        mu = max(final, mu / 2)
        bound = sparsity * mu
        noisy = extrapolated + (D - extrapolated).clamp(-bound, bound)  # D - T
        previous = B
        B, basis, _ = _shrink_singular_values(noisy, mu, basis, generator)
        step = B - extrapolated
        if mu == final and step.norm() <= tolerance:
            break
        if (step * (B - previous)).sum() < 0:
            momentum = 1.0
        faster = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        extrapolated = B + (momentum - 1) / faster * (B - previous)
        momentum = faster
    return B, F.softshrink(D - B, sparsity * final)


def _shrink_singular_values(
    X: Tensor, threshold: float, basis: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Subtract `threshold` from the singular values of X (m, n), those below it becoming 0.

    Only the few leading ones are needed, and their vectors change little between the steps of
    `robust_pca`: one step of subspace iteration from the last basis, with a margin, instead of a
    decomposition of X.

    Args:
        X: the matrix.
        threshold: what to subtract.
        basis: (n, r), approximate right singular vectors.
        generator: of the vectors that are added while too few values are below the threshold.

    Returns:
        The shrunk matrix, the improved basis and its singular values, largest first.
    """
    full = min(X.shape)
    while True:
        basis = torch.linalg.qr(X.T @ (X @ basis)).Q
        projected = X @ basis
        exact = projected.double()  # float32 squares would drown the small values
        squares, turn = torch.linalg.eigh(exact.T @ exact)
        values = squares.clamp_min(0.0).sqrt().flip(0)
        below = int((values <= threshold).sum())
        size = basis.shape[1]
        if 2 * below >= _MARGIN or size == full:
            break
        more = _random_columns(len(basis), min(size, full - size), basis, generator)
        basis = torch.cat((basis, more), dim=1)
    kept = size - max(0, below - _MARGIN)
    turn = turn.flip(1)[:, :kept].to(X)
    values = values[:kept]
    scale = (1 - threshold / values.clamp_min(1e-30)).clamp_min(0.0).to(X)  # D may be 0
    basis = basis @ turn
    return (projected @ turn * scale) @ basis.T, basis, values


def _random_columns(rows: int, columns: int, like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(rows, columns, generator=generator).to(like)
