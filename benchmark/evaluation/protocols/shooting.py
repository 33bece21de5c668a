"""Protocol `shooting`: is anything predicted close to a target?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmark.evaluation.protocol import Counts, Protocol

if TYPE_CHECKING:
    import numpy as np

HIT_REACH = 1
"""Distance, px in rows and in columns, up to which a predicted pixel hits a target."""
FALSE_REACH = 4
"""Distance, px, beyond which from every target predicted pixels are false alarms."""


class ShootingProtocol(Protocol):
    """The shooting rule: components of the prediction are not looked at.

    A target is hit if a predicted pixel lies on it or up to 1 px around it, false-alarm pixels are
    the predicted ones more than 4 px from every target (both in the square neighbourhood). False
    components are predicted components with such a pixel.

    Empty cases: a ratio 0/0 is 0, Pd of a set without targets NaN.
    """

    name = "shooting"
    version = 1
    radius = None
    rules = (
        "native image size, probability > 0.5; hit: a predicted pixel on the target or up to 1 px "
        "around it; Fa = predicted pixels more than 4 px from every target / all pixels"
    )
    source = "PyIRSTDMetrics 1.0.2, shooting-rule variant of Pd and Fa"

    def _count(self, predicted: np.ndarray, mask: np.ndarray) -> Counts:
        import cv2
        import numpy as np

        from datasets.components import label_components

        def grown(on: np.ndarray, reach: int) -> np.ndarray:
            square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
            return cv2.dilate(on.view(np.uint8), square).view(np.bool_)

        targets, labels = label_components(mask)
        found = np.unique(labels[mask & grown(predicted, HIT_REACH)])
        false = predicted & ~grown(mask, FALSE_REACH)
        _, predictions = label_components(predicted)
        return Counts(
            targets=len(targets),
            hits=len(found),
            false_components=len(np.unique(predictions[false])),
            false_alarm_pixels=int(false.sum()),
        )
