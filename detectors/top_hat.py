"""White top-hat: what a morphological opening removes is bright and smaller than its element."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from detectors.classical import ClassicalDetector, check_odd


class TopHat(ClassicalDetector):
    """White top-hat: the image minus its opening with a flat square.

    Response f - (f o b), at least 0 by definition. Pixels outside of the image are ignored by
    erosion and dilation alike; a slope that rises to the border therefore responds there.

    Args:
        size: side of the structuring element b, px, odd. It must exceed the targets; 9 does for
            those below 80 px, the usual meaning of small.
        k: threshold in standard deviations (our default; see `ClassicalDetector`).

    Raises:
        UserError: `size` is even or less than 3.
    """

    name = "top_hat"
    paper = "Morphology-based algorithm for point target detection in infrared backgrounds"
    venue = "SPIE 1954"
    year = 1993
    source = (
        "Tom, Peli, Leung, Bondaryk, Proc. SPIE 1954; cf. Zeng, Li, Peng, The design of Top-Hat "
        "morphological filter and application to infrared target detection, Infrared Physics & "
        "Technology 48, 2006"
    )

    def __init__(self, size: int = 9, k: float = 5.0) -> None:
        check_odd("top_hat", "size", size)
        super().__init__(k)
        self.size = size

    def response(self, x: Tensor) -> Tensor:
        """Images to the part that the opening removes, (B, 1, H, W)."""
        eroded = -_dilate(-x, self.size)
        return x - _dilate(eroded, self.size)


def _dilate(x: Tensor, size: int) -> Tensor:
    """Maximum over squares, first along columns, then along rows; pooling pads with -inf."""
    half = size // 2
    x = F.max_pool2d(x, (size, 1), stride=1, padding=(half, 0))
    return F.max_pool2d(x, (1, size), stride=1, padding=(0, half))
