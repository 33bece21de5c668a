"""How fast this device trains, in three seconds: what an estimate of time needs to know of it.

Started by `speed` as `python -m benchmark.preflight.speed_child`; it prints a JSON object
with the fields of `Speed`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import torch
from torch import nn

from benchmark.networks.torch_setup import open_device

BATCH, SIDE = 4, 96
CONVOLUTIONS = ((16, 1), (64, 2), (128, 4))
"""Channels, and by how much the maps are smaller than `SIDE`: the levels of a U-Net."""
CHANNELS = 32
"""Channels of the maps that are normalised."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16")
    parser.add_argument("--seconds", type=float, default=1.5, help="for each of the two rates")
    args = parser.parse_args()
    device = open_device(args.device, args.threads)
    print(json.dumps(rates(device, args.precision, args.seconds)))


def rates(device: torch.device, precision: str, seconds: float) -> dict[str, float]:
    """Multiply-adds and values a second of training, see `Speed`."""
    convolutions = [nn.Conv2d(c, c, 3, padding=1, bias=False) for c, _ in CONVOLUTIONS]
    inputs = [(c, SIDE // by) for c, by in CONVOLUTIONS]
    macs = sum(BATCH * 9 * c * c * side * side for c, side in inputs)
    maps = nn.Sequential(nn.BatchNorm2d(CHANNELS), nn.ReLU())
    values = 2 * BATCH * CHANNELS * SIDE * SIDE  # the inputs of both are kept for the backward pass
    conv = _seconds(convolutions, inputs, device, precision, seconds)
    norm = _seconds([maps], [(CHANNELS, SIDE)], device, precision, seconds)
    return {"macs": 3 * macs / conv, "values": 3 * values / norm}


def _seconds(
    modules: list[nn.Module],
    inputs: list[tuple[int, int]],
    device: torch.device,
    precision: str,
    seconds: float,
) -> float:
    """Median time of a pass forwards and back through every module, each with its own input."""
    modules = [m.to(device, memory_format=torch.channels_last) for m in modules]
    xs = [
        torch.randn(BATCH, c, side, side, device=device)
        .contiguous(memory_format=torch.channels_last)
        .requires_grad_()
        for c, side in inputs
    ]

    def work() -> None:
        for module, x in zip(modules, xs, strict=True):
            with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
                y = module(x)
            y.backward(torch.ones_like(y))

    return _median(work, device, seconds)


def _median(work: Callable[[], None], device: torch.device, seconds: float) -> float:
    times: list[float] = []
    begun = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - begun < seconds:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return sorted(times)[len(times) // 2]


if __name__ == "__main__":
    main()
