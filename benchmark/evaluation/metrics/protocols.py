"""The metric protocols: named, versioned rule sets, from maps to counts to numbers.

This module must stay free of NumPy, SciPy and OpenCV at import (see the package docstring), hence
the imports inside methods.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.errors import UserError

if TYPE_CHECKING:
    import numpy as np

    from benchmark.evaluation.metrics.components import Components

_SUMS = (
    "targets",
    "hits",
    "false_components",
    "false_alarm_pixels",
    "intersection",
    "predicted",
    "positive",
)


class Protocol(ABC):
    """Base of the protocols: per-image counts in, one set of numbers out.

    State: `rows`, one dict of integers per image (the fields of `record.ImageScore`), and the
    sweep. Every total is a sum over the rows, so neither the order of the images nor the grouping
    of merges can change any bit of a result.

    Attributes:
        name: registry key.
        version: raised whenever a rule changes, so that old and new records are told apart.
        threshold: a pixel is predicted where `prob > threshold` (strict).
        rules: one line for listings.
        source: one line, where the rules come from.
        rows: what was counted, in the order of the updates.
    """

    name: ClassVar[str]
    version: ClassVar[int]
    threshold: ClassVar[float]
    rules: ClassVar[str]
    source: ClassVar[str]

    def __init__(self, sweep: bool = True) -> None:
        self.rows: list[dict[str, Any]] = []
        self._sweep = None
        if sweep:
            from benchmark.evaluation.metrics.curves import PdFaSweep

            self._sweep = PdFaSweep()

    @abstractmethod
    def _count_targets(self, targets: Components, predictions: Components) -> tuple[int, int, int]:
        """Hits, false components and false-alarm pixels of one image."""

    def update(self, prob: np.ndarray, mask: np.ndarray, name: str = "") -> None:
        """Score one image.

        Args:
            prob: (H, W) floating point in [0, 1].
            mask: (H, W) bool, True on targets.
            name: of the image, for its row and for messages.

        Raises:
            UserError: shapes that differ, prob not 2-D or not floating point, NaN or values
                outside [0, 1], mask not bool. Nothing is counted then.
        """
        from benchmark.evaluation.metrics.components import find_components
        from benchmark.evaluation.metrics.inputs import check_pair

        prob, mask = check_pair(prob, mask, name)
        predicted = prob > self.threshold
        targets, predictions = find_components(mask), find_components(predicted)
        hits, false_components, false_alarm_pixels = self._count_targets(targets, predictions)
        row = {
            "name": name,
            "height": prob.shape[0],
            "width": prob.shape[1],
            "targets": len(targets),
            "hits": hits,
            "false_components": false_components,
            "false_alarm_pixels": false_alarm_pixels,
            "intersection": int((predicted & mask).sum()),
            "predicted": int(predictions.area.sum()),
            "positive": int(targets.area.sum()),
        }
        if self._sweep is not None:
            self._sweep.add(prob, mask, targets)
        self.rows.append(row)

    def merge(self, other: Protocol) -> None:
        """Add the images of another object of the same protocol.

        Raises:
            UserError: another protocol, or one of the two has no curve.
        """
        if (self.name, self.version) != (other.name, other.version):
            raise UserError(
                f"cannot merge protocol '{other.name}' version {other.version} "
                f"into '{self.name}' version {self.version}"
            )
        if (self._sweep is None) != (other._sweep is None):
            raise UserError(f"protocol '{self.name}': cannot merge with and without a curve")
        if self._sweep is not None:
            self._sweep.merge(other._sweep)
        self.rows.extend(other.rows)

    def compute(self) -> dict[str, float]:
        """The numbers of all images so far; fractions, not percent.

        With I, P, T the summed intersection, predicted and target pixels:

            iou        I / (P + T - I), over the whole data set
            niou       mean over images of the image's own I / (P + T - I)  (ACM, WACV 2021)
            precision  I / P
            recall     I / T
            f1         2 I / (P + T)
            pd         hits / targets
            fa         false-alarm pixels / all pixels
            false_alarms_per_image   false components / images
            n_images, n_targets      int

        Empty cases: iou and niou of an empty truth and an empty prediction are 1. Any other ratio
        0/0 is 1 if the whole data set has no target pixel, else 0. Nothing is ever NaN.

        Raises:
            UserError: no image was scored.
        """
        if not self.rows:
            raise UserError(f"protocol '{self.name}': no image was scored, nothing to compute")
        total = {key: sum(row[key] for row in self.rows) for key in _SUMS}
        n_images = len(self.rows)
        empty = 0.0 if total["positive"] else 1.0
        overlap, predicted, positive = total["intersection"], total["predicted"], total["positive"]
        pixels = sum(row["height"] * row["width"] for row in self.rows)
        return {
            "iou": _iou(total),
            "niou": math.fsum(map(_iou, self.rows)) / n_images,
            "precision": _ratio(overlap, predicted, empty),
            "recall": _ratio(overlap, positive, empty),
            "f1": _ratio(2 * overlap, predicted + positive, empty),
            "pd": _ratio(total["hits"], total["targets"], empty),
            "fa": total["false_alarm_pixels"] / pixels,
            "false_alarms_per_image": total["false_components"] / n_images,
            "n_images": n_images,
            "n_targets": total["targets"],
        }

    def curve(self) -> dict[str, Any] | None:
        """The fields of `record.Curve`; None if the object was made with `sweep=False`."""
        return None if self._sweep is None else self._sweep.compute()


class NativeProtocol(Protocol):
    """This benchmark's own rules, at the native size of each image.

    A target is an 8-connected component of the mask. It is hit if a predicted 8-connected
    component is assigned to it by the one-to-one matching with the most pairs under centroid
    distance < 3 pixels (`matching.match`). Every predicted component without a partner is a false
    alarm with all its pixels, whatever its area: the published rule drops those whose area equals
    that of a matched one.
    """

    name = "native"
    version = 1
    threshold = 0.5
    rules = (
        "native size, prob > 0.5, 8-connected, most one-to-one hits with centroids < 3 px apart; "
        "Fa: pixels of unmatched components"
    )
    source = "this benchmark; IoU, nIoU, Pd and Fa of MSHNet and ACM with their errors corrected"

    def _count_targets(self, targets: Components, predictions: Components) -> tuple[int, int, int]:
        from benchmark.evaluation.metrics.matching import match

        pairs = match(targets, predictions)
        hit_area = sum(int(predictions.area[p]) for _, p in pairs)
        return len(pairs), len(predictions) - len(pairs), int(predictions.area.sum()) - hit_area


def _ratio(part: int, whole: int, empty: float) -> float:
    return part / whole if whole else empty


def _iou(counts: dict[str, Any]) -> float:
    """Intersection over union of one image's, or of the summed, pixel counts; 1 if both empty."""
    union = counts["predicted"] + counts["positive"] - counts["intersection"]
    return _ratio(counts["intersection"], union, 1.0)


PROTOCOLS: dict[str, type[Protocol]] = {cls.name: cls for cls in (NativeProtocol,)}
