"""What a run does besides its steps: scoring, and keeping itself on disk."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmark.evaluation.scoring import score
from benchmark.networks.compute import Compute
from benchmark.networks.inference import Predictor
from benchmark.records.store import RunFolder
from benchmark.training.checkpoints import Saver, State
from benchmark.training.step import Step
from datasets.base import Sample
from detectors import create_detector
from tests.bench._timing import clock
from tests.gpu.bench_common import Bench, Row, ready_step


def scoring(bench: Bench) -> Iterator[Row]:
    """Test sets scored with MSHNet, images a second: in batches where they fit, and one by one.

    `first` meets every size for the first time in this process (the second way of a set does not);
    `second` is the pass after it, `maps` one without judging the maps.
    """
    detector = create_detector("mshnet").to(bench.device, memory_format=torch.channels_last).eval()
    # few targets, as of a trained network: to judge what noise finds takes longer than finding it
    detector.register_forward_hook(lambda *call: call[-1]._replace(logits=call[-1].logits - 20))
    compute = Compute(bench.device)
    score(Predictor(detector, compute), _equal(bench, 96)[:1], ["native"])  # compiled
    for name, test_set in (("ragged", _ragged(bench)), ("equal", _equal(bench, bench.crop))):
        for way, pixels in (("batches", None), ("one by one", 0)):
            predictor = Predictor(detector, compute, pixels)
            passes = [_scored(predictor, test_set)] * 2 + [_mapped(predictor, test_set)]
            first, *rates = (len(test_set) / clock(work, bench.device) for work in passes)
            yield {
                "test set": f"{len(test_set)} {name}",
                "way": way,
                "first": first if way == "batches" else None,
                "second": rates[0],
                "maps": rates[1],
            }


def _scored(predictor: Predictor, test_set: list[Sample]) -> Callable[[], object]:
    return lambda: score(predictor, test_set, ["native"])


def _mapped(predictor: Predictor, test_set: list[Sample]) -> Callable[[], object]:
    return lambda: sum(1 for _ in predictor(test_set))


def _ragged(bench: Bench) -> list[Sample]:
    """86 images of 83 sizes, as in SIRST's official test list."""
    count, repeated, largest = (6, 1, 120) if bench.small else (86, 3, 500)
    rng = np.random.default_rng(0)
    sizes: set[tuple[int, int]] = set()
    while len(sizes) < count - repeated:
        sizes.add((int(rng.integers(100, largest + 1)), int(rng.integers(100, largest + 1))))
    ordered = sorted(sizes)
    return [_image(rng, *size) for size in ordered + ordered[:repeated]]


def _equal(bench: Bench, side: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    return [_image(rng, side, side) for _ in range(4 if bench.small else 64)]


def _image(rng: np.random.Generator, height: int, width: int) -> Sample:
    image = rng.integers(0, 256, (height, width), dtype=np.uint8)
    mask = np.zeros((height, width), dtype=bool)
    mask[40:43, 50:54] = True
    return Sample(image, mask, f"{height}x{width}")


def checkpoints(bench: Bench) -> Iterator[Row]:
    """To keep a training's state in memory after an epoch, and to write it once a minute."""
    second = "acm" if bench.small else "uiunet"
    for name, optimizer in (("mshnet", "adagrad"), (second, "adam")):
        step, work = ready_step(bench, name, optimizer=optimizer)
        assert isinstance(step, Step)
        work()  # what the optimizer keeps is there then
        with tempfile.TemporaryDirectory() as path:
            folder = RunFolder(Path(path))
            saver = Saver(folder, step.detector, step.optimizer, None, State())
            keep, write = [], []
            for _ in range(3):
                keep.append(clock(partial(saver.epoch_done, False), bench.device))
                write.append(clock(saver.flush, bench.device))
            size = folder.checkpoint.stat().st_size
        yield {
            "detector": name,
            "optimizer": optimizer,
            "keep_ms": 1e3 * statistics.median(keep),
            "write_ms": 1e3 * statistics.median(write),
            "MB": size / 1e6,
        }
        bench.clear()
