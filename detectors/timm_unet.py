"""A U-Net over a timm encoder: `timm_unet:resnet18`, `timm_unet:convnext_atto`, ..."""

from __future__ import annotations

import difflib

import timm
import torch
from torch import Tensor, nn

from benchmark.errors import UserError
from detectors.base import Detector, Prediction
from detectors.resize import resize

_WIDTHS = {1: 16, 2: 32, 4: 64, 8: 128}
"""Channels of the decoder at each reduction of the resolution."""


class TimmUNet(Detector):
    """U-Net with a timm encoder down to 1/16, and a full-resolution skip from the image.

    Most encoders start at half or a quarter of the resolution, where a target of two pixels is
    gone; two convolutions on the image itself give the decoder the full grid.

    Args:
        variant: name of the encoder, see `timm.list_models()`, with a tag of its weights or
            without (`resnet18.a1_in1k`).
        pretrained: start from timm's ImageNet weights; downloaded unless they are in its cache.

    Raises:
        UserError: unknown encoder, one without a pyramid of features, or weights that cannot be
            had.
    """

    name = "timm_unet"
    group = "baseline"
    paper = "PyTorch Image Models (encoders); U-Net (decoder)"
    venue = "GitHub 2019"
    year = 2019
    source = (
        "github.com/huggingface/pytorch-image-models; arXiv:1505.04597; no published IRSTD result"
    )
    cost = {"parameters": 3.579, "macs": 4.579, "activations": 25.4}
    outputs = ("head",)
    in_channels = 3
    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)
    stride = 16
    recipe = {
        "optimizer": "adamw",
        "lr": 0.001,
        "weight_decay": 0.01,
        "schedule": "cosine",
        "epochs": 400,
        "batch_size": 16,
        "base_size": 256,
        "crop_size": 256,
        "loss": "soft_iou",
        "warm_epoch": -1,
    }

    def __init__(self, variant: str = "resnet18", pretrained: bool = False) -> None:
        super().__init__()
        self.check_variant(variant)
        self.encoder = _encoder(variant, pretrained)
        config = self.encoder.pretrained_cfg
        self.mean, self.std = tuple(config["mean"]), tuple(config["std"])

        reductions = self.encoder.feature_info.reduction()
        channels = self.encoder.feature_info.channels()
        self.stem = _double_conv(self.in_channels, _WIDTHS[1]) if reductions[0] > 1 else None
        skips = dict(zip(reductions, channels, strict=True))
        if self.stem is not None:
            skips[1] = _WIDTHS[1]
        width = channels[-1]
        self.decoder = nn.ModuleDict()
        for reduction in sorted(_WIDTHS, reverse=True):
            self.decoder[str(reduction)] = _double_conv(
                width + skips.get(reduction, 0), _WIDTHS[reduction]
            )
            width = _WIDTHS[reduction]
        self.reductions = tuple(reductions)
        self.head = nn.Conv2d(width, 1, 1)

    @staticmethod
    def check_variant(variant: str) -> str:
        """The variant as it is; refuses what timm does not know.

        Raises:
            UserError: with near names.
        """
        names = timm.list_models()
        if variant.partition(".")[0] not in names:
            near = (
                difflib.get_close_matches(variant, names, 3)
                or [name for name in names if variant in name][:3]
            )
            hint = f"did you mean {', '.join(near)}? " if near else ""
            raise UserError(
                f"timm_unet: timm {timm.__version__} has no encoder '{variant}'; {hint}"
                f"timm.list_models() names all {len(names)}"
            )
        return variant

    def forward(self, x: Tensor) -> Prediction:
        """Images (B, 3, H, W) to logits (B, 1, H, W)."""
        skips = dict(zip(self.reductions, self.encoder(x), strict=True))
        if self.stem is not None:
            skips[1] = self.stem(x)
        y = skips[max(self.reductions)]
        for reduction, block in self.decoder.items():
            y = resize(y, (2 * y.shape[-2], 2 * y.shape[-1]), align_corners=False)
            skip = skips.get(int(reduction))
            y = block(y if skip is None else torch.cat((skip, y), dim=1))
        return Prediction(self.head(y))


def _encoder(name: str, pretrained: bool) -> nn.Module:
    """The encoder's features at reductions up to 16."""
    levels = _levels(name)
    try:
        return timm.create_model(
            name, features_only=True, pretrained=pretrained, out_indices=levels
        )
    except (RuntimeError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"timm_unet: no ImageNet weights of '{name}' ({reason}); fetch them once where "
            "there is a network, or leave pretrained out"
        ) from None


def _levels(name: str) -> list[int]:
    """Which of the encoder's features to use; tried on the meta device, where nothing is computed.

    Raises:
        UserError: no pyramid with 1/8 and 1/16, or not for every multiple of 16 px.
    """
    try:
        with torch.device("meta"):
            encoder = timm.create_model(name, features_only=True, pretrained=False)
            reductions = encoder.feature_info.reduction()
            encoder.eval()(torch.empty(1, 3, 48, 80))
    except Exception as error:  # an encoder may raise anything there: it cannot be used
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"timm_unet: '{name}' gives no features of a 48x80 image ({reason}); take an encoder "
            "for images of any size, e.g. resnet18"
        ) from None
    kept = [reduction for reduction in reductions if reduction <= 16]
    if kept != sorted(set(kept)) or not {8, 16} <= set(kept):
        raise UserError(
            f"timm_unet: the features of '{name}' are at 1/{', 1/'.join(map(str, reductions))} "
            "of the resolution; a U-Net needs a pyramid with 1/8 and 1/16, e.g. of resnet18"
        )
    return list(range(len(kept)))


def _double_conv(c_in: int, c_out: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for c in (c_in, c_out):
        layers += [nn.Conv2d(c, c_out, 3, padding=1, bias=False), nn.BatchNorm2d(c_out), nn.ReLU()]
    return nn.Sequential(*layers)
