"""One detector measured in one fresh process, alone.

Started by `parent` as `python -m benchmark.profiling.child DETECTOR ...`; events go to standard
output, the last one with the numbers; everything else that is printed to standard error.
It stops by itself when its standard input closes, that is when its parent dies.
"""

from __future__ import annotations

import argparse
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.environment import cpu_name
from benchmark.errors import UserError, first_line
from benchmark.execute.child import leave_with_parent, take_output
from benchmark.execute.events import EventWriter
from benchmark.networks.memory import is_out_of_memory

if TYPE_CHECKING:
    from detectors.base import Detector


def main() -> int:
    """Measure; the exit code is 0 if there are numbers, 1 if not."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("detector")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", default="fp32", help="fp32 or bf16")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--fused", action="store_true")
    parser.add_argument("--plugins", type=Path)
    args = parser.parse_args()

    send = EventWriter(take_output())  # all other prints go to the log
    threading.Thread(target=leave_with_parent, daemon=True).start()

    status, message, numbers = "failed", "", None
    try:
        numbers = _measure(args, send)
        status, message = ("done", "") if numbers else ("skip", "no batch normalisation to fold")
    except UserError as error:
        message = str(error)
    except Exception as error:  # a detector may raise anything
        traceback.print_exc()
        line = first_line(error)
        if is_out_of_memory(error):
            status, message = "oom", f"{line}; try a smaller --batch (now {args.batch}) or --side"
        else:
            message = f"{type(error).__name__}: {line}"
    send("end", status=status, message=message, numbers=numbers)
    return 0 if numbers else 1


def _measure(args: argparse.Namespace, send: EventWriter) -> dict[str, Any] | None:
    """Fields of `Profile`; None if there is nothing to fold."""
    import torch

    from benchmark.networks.cost import count_parameters
    from benchmark.networks.torch_setup import describe, open_device
    from benchmark.profiling.latency import PeakMemory, measure

    send("phase", text="building")
    device = open_device(args.device, args.threads)
    built = _build(args)
    if built is None:
        return None
    detector, folded = built
    side = args.side
    detector.to(device)
    memory = PeakMemory(device)
    latencies = []
    for batch in (1, args.batch):
        send("phase", text=f"batch of {batch}")
        latencies.append(
            measure(detector, device, batch, side, args.precision, args.seconds, memory)
        )
    single, batched = latencies
    graph = None
    if device.type == "cuda":  # after the others, which a capture that fails cannot disturb then
        send("phase", text="CUDA graph")
        graph = _unless_it_fails(
            lambda: measure(
                detector, device, 1, side, args.precision, args.seconds, graph=True
            ).model_dump(),
            send,
        )
    macs = _macs(args.detector, side)
    return {
        "detector": args.detector,
        "parameters": count_parameters(detector),
        "macs": macs,
        "flops": None if macs is None else 2 * macs,
        "input": f"1x{detector.in_channels}x{side}x{side}",
        "single": single.model_dump(),
        "graph": graph,
        "batched": batched.model_dump(),
        "throughput": 1e3 * args.batch / batched.median_ms,
        "memory_kind": memory.kind,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else cpu_name(),
        "threads": args.threads,
        "precision": args.precision,
        "fused": args.fused,
        "folded": folded,
        "torch": torch.__version__,
        "deterministic": describe(device)["deterministic"],
    }


def _build(args: argparse.Namespace) -> tuple[Detector, str | None] | None:
    """The network as it is measured, and how many of its normalisations are folded.

    Returns:
        None if they should be folded and there are none.

    Raises:
        UserError: the network does not take the side.
    """
    import torch

    import datasets
    import detectors
    import losses
    from benchmark.profiling.fuse import fold_batchnorm
    from benchmark.registry import add_plugins

    if args.plugins is not None:
        add_plugins(args.plugins, [detectors.REGISTRY, losses.REGISTRY, datasets.REGISTRY])
    torch.manual_seed(0)
    detector = detectors.create_detector(args.detector)
    side, stride, least = args.side, detector.stride, detector.min_size
    fits = -(-max(side, least) // stride) * stride
    if side != fits:
        more = f", {least} or more" if least > stride else ""
        raise UserError(
            f"--side {side}: {args.detector} needs a multiple of {stride}{more}, e.g. {fits}"
        )
    if not args.fused:
        return detector, None
    detector, count, total = fold_batchnorm(detector)
    return (detector, f"{count} of {total}") if count else None


def _macs(detector: str, side: int) -> int | None:
    """Multiply-accumulates of one image, or None and a line where they cannot be counted."""
    from benchmark.networks.cost import count_macs

    try:
        return count_macs(detector, side)[0]
    except Exception as error:  # the meta device may raise anything; the times remain
        print(f"MACs not counted: {type(error).__name__}: {error}", flush=True)
        return None


def _unless_it_fails(
    measure: Callable[[], dict[str, Any]], send: EventWriter
) -> dict[str, Any] | None:
    """The numbers, or None and a note: some networks do what cannot be captured in a CUDA graph."""
    try:
        return measure()
    except Exception as error:  # a capture may raise anything; the other numbers are worth more
        traceback.print_exc()
        # ending a capture that has failed fails again, and says less
        reasons = [e for e in (error.__context__, error) if e is not None]
        text = "; then ".join(f"{type(e).__name__}: {first_line(e)}" for e in reasons)
        send("note", text=f"no time of a CUDA graph: {text}")
        return None


if __name__ == "__main__":
    sys.exit(main())
