"""Optimizers and learning-rate schedules by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from benchmark.config import Settings

if TYPE_CHECKING:
    from timm.utils import ModelEmaV3


class MXNetAdagrad(torch.optim.Optimizer):
    """AdaGrad as MXNet 1.x has it, used by the official ACM and ALCNet code.

    h += g^2;  w -= lr * (g / sqrt(h + eps) + weight_decay * w): eps inside the root, and the decay
    kept out of the history.
    """

    def __init__(self, params, lr: float, weight_decay: float = 0.0, eps: float = 1e-7) -> None:
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, "eps": eps})

    @torch.no_grad()
    def step(self, closure=None):
        """One update of every parameter that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            for p in params:
                self.state[p].setdefault("history", torch.zeros_like(p))
            history = [self.state[p]["history"] for p in params]
            torch._foreach_addcmul_(history, grads, grads)
            root = torch._foreach_add(history, group["eps"])
            torch._foreach_sqrt_(root)
            update = torch._foreach_div(grads, root)
            torch._foreach_add_(update, params, alpha=group["weight_decay"])
            torch._foreach_add_(params, update, alpha=-group["lr"])
        return loss


def make_optimizer(model: nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """The optimizer that `settings` name; all but `mxnet_adagrad` come from timm's factory."""
    if settings.optimizer == "mxnet_adagrad":
        return MXNetAdagrad(model.parameters(), settings.lr, settings.weight_decay)
    from timm.optim import create_optimizer_v2

    # timm's default here is 1e-8, torch's (and so the published) 1e-10
    more: dict[str, Any] = {"eps": 1e-10} if settings.optimizer == "adagrad" else {}
    # one kernel for all parameters; Adagrad's is not in every supported torch on a GPU, where the
    # default is quick, too
    on_cpu = next(model.parameters()).device.type == "cpu"
    more["fused"] = True if on_cpu or settings.optimizer != "adagrad" else None
    return create_optimizer_v2(
        model,
        opt=settings.optimizer,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        filter_bias_and_bn=False,  # the published recipes decay every parameter alike
        **more,
    )


def make_average(model: nn.Module, settings: Settings) -> ModelEmaV3 | None:
    """The running average of the weights that `settings` ask for (timm's; buffers included)."""
    if not settings.ema:
        return None
    from timm.utils import ModelEmaV3

    return ModelEmaV3(model, decay=settings.ema)


def learning_rate(settings: Settings, epoch: int) -> float:
    """Learning rate of an epoch.

    Constant, a cosine from `lr` towards 0, or steps: x0.1 after half and again after three quarters
    of the epochs (200 and 300 of LESPS's and BasicIRSTD's 400).
    """
    if settings.schedule == "steps":
        passed = sum(epoch >= part * settings.epochs for part in (0.5, 0.75))
        return settings.lr * 0.1**passed
    if settings.schedule == "cosine":
        return settings.lr * 0.5 * (1 + math.cos(math.pi * epoch / settings.epochs))
    return settings.lr
