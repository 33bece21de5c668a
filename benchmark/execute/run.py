"""What a worker does with its job: data -> training -> scoring -> the fields of the record."""

from __future__ import annotations

import itertools
import platform
import resource
import sys
import time
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

import datasets
import detectors
import losses
from benchmark import __version__, leakage
from benchmark.environment import cpu_name, git_commit
from benchmark.errors import UserError
from benchmark.evaluation.cost import count_macs, count_parameters
from benchmark.evaluation.inference import predict
from benchmark.evaluation.metrics.protocol import NATIVE, Geometry
from benchmark.evaluation.scoring import Network, score
from benchmark.execute.crops import save_crops
from benchmark.execute.events import EventWriter
from benchmark.memory import give_back
from benchmark.naming import short_dataset
from benchmark.plan.job import Job
from benchmark.record import Cost, Data, Environment
from benchmark.registry import add_plugins
from benchmark.store import RunFolder
from benchmark.training.batches import Batches, hold_out
from benchmark.training.checkpoints import Origin, State, save
from benchmark.training.loop import train
from datasets.base import Sample, content_hash
from datasets.hashes import image_hash
from detectors.base import Detector

Autocast = Callable[[], torch.autocast]
GIVE_BACK_EVERY = 16
"""Images; giving free memory back after each of them made scoring a quarter slower."""


class Inputs(NamedTuple):
    """What a job reads that its settings do not name."""

    data_root: Path | None
    weights: Path | None
    allow_leakage: bool  # score even images that were trained on


def prepare(
    job: Job, device_type: str, threads: int, plugins: Path | None
) -> tuple[torch.device, Environment]:
    """Set up torch for this process and say what it runs on."""
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # costs time, changes no result
    torch.backends.cudnn.allow_tf32 = False  # fp32 means fp32
    device = torch.device(device_type)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "this torch sees no GPU (a CPU build, or a driver that is too old); use --device cpu"
        )
    if plugins is not None:
        add_plugins(plugins, [detectors.REGISTRY, losses.REGISTRY, datasets.REGISTRY])
    environment = Environment(
        harness=__version__,
        python=platform.python_version(),
        torch=torch.__version__,
        platform=platform.platform(),
        device=torch.cuda.get_device_name() if device.type == "cuda" else cpu_name(),
        threads=threads,
        precision=resolve_precision(job.settings.precision, device),
        git=git_commit(),
    )
    return device, environment


def resolve_precision(precision: str, device: torch.device) -> str:
    """`auto` means bf16 where the hardware multiplies it (CUDA; CPUs with AMX or AVX512-BF16)."""
    if precision != "auto":
        return precision
    if device.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = bool({"amx_tile", "avx512_bf16"} & set(_cpu_flags().split()))
    return "bf16" if fast else "fp32"


def run_job(
    job: Job,
    folder: RunFolder,
    device: torch.device,
    environment: Environment,
    inputs: Inputs,
    send: EventWriter,
) -> dict[str, Any]:
    """Train and score one cell; with 0 epochs score the weights as they are.

    Returns:
        Fields of `Record`: data, selected_epoch, scores, history, cost.

    Raises:
        UserError, DivergedError, OSError, torch.OutOfMemoryError: see `worker`, which turns them
            into statuses.
    """
    settings = job.settings
    autocast: Autocast = partial(
        torch.autocast, device.type, torch.bfloat16, enabled=environment.precision == "bf16"
    )
    send("phase", text="reading data")
    train_set, val_set, test_set, data = read_data(job, inputs.data_root)

    torch.manual_seed(zlib.crc32(f"weights/{job.detector}/{job.seed}".encode()))
    detector = detectors.create_detector(job.detector, inputs.weights)
    past = guard(job, data, val_set, test_set, inputs)
    detector.to(device, memory_format=torch.channels_last)
    state, selected = State(), None
    if settings.epochs:
        watched = test_set if settings.selection == "best-test" else val_set
        state = fit(job, folder, detector, train_set, watched, data, device, autocast, send)
        selected = select(detector, state, settings.selection)
        detector.begin_epoch(selected)
        environment.sessions = state.sessions
    detector.eval()
    save(
        folder.weights,
        {"state_dict": detector.state_dict(), "epoch": selected, "train_hash": data.train_hash}
        | past._asdict()
        | {"job": job.to_dict()},
    )
    send("phase", text="scoring")
    started = time.monotonic()
    scores = score(_network(detector, device, autocast), test_set, settings.protocols)
    test_seconds = time.monotonic() - started
    save_crops(folder.crops, test_set, _network(detector, device, autocast))
    return {
        "data": data,
        "selected_epoch": selected,
        "scores": scores,
        "history": state.history,
        "cost": Cost(
            parameters=count_parameters(detector),
            **_macs(job.detector),
            train_seconds=sum(e.seconds for e in state.history),
            test_seconds=test_seconds,
            peak_memory_bytes=_peak_memory(device),
        ),
    }


def fit(
    job: Job,
    folder: RunFolder,
    detector: Detector,
    train_set: list[Sample],
    watched: list[Sample],
    data: Data,
    device: torch.device,
    autocast: Autocast,
    send: EventWriter,
) -> State:
    """Train `detector` in place, validating on `watched` (nothing, if that is empty)."""
    settings = job.settings
    loss = losses.create_loss(job.loss).to(device)
    batches = Batches(train_set, short_dataset(job.dataset), job.seed, settings, device)
    print(batches.describe(), flush=True)

    def validate(scored: Detector) -> dict[str, float]:
        network = _network(scored, device, autocast)
        return score(network, watched, ["native"], details=False)["native"].metrics

    send("phase", text="training", epochs=settings.epochs)
    return train(
        detector,
        loss,
        batches,
        settings,
        folder,
        job.seed,
        Origin(data.train_hash, data.training_hashes),
        device,
        autocast,
        validate if watched else None,
        on_step=_throttled(send),
        on_epoch=lambda e: send("epoch", **e.model_dump()),
    )


def read_data(
    job: Job, data_root: Path | None
) -> tuple[list[Sample], list[Sample], list[Sample], Data]:
    """The training, validation and test parts of a job, and what the record says of them.

    The first two are empty for a job that is only scored.
    """
    entry = datasets.REGISTRY.get(job.dataset)
    kind = entry.load()
    training = datasets.load_dataset(job.dataset, data_root, kind.train_split)
    testing = datasets.load_dataset(job.dataset, data_root, kind.test_split)
    limit = job.settings.limit
    test_set = list(testing.samples[:limit])
    notes = list(dict.fromkeys(training.notes + testing.notes))
    train_set, val_set = [], []
    if job.settings.epochs:
        train_set, val_set = hold_out(
            training.samples[:limit],
            short_dataset(job.dataset),
            job.seed,
            job.settings.val_fraction,
        )
        if len(train_set) < 1 or (job.settings.selection == "best-val" and not val_set):
            raise UserError(
                f"dataset '{job.dataset}': {len(training.samples[:limit])} training image(s) are "
                "too few to hold a validation part out; use more, or --set selection=last"
            )
        if len(train_set) < job.settings.batch_size:
            notes.append(
                f"the training part has {len(train_set)} images, fewer than a batch of "
                f"{job.settings.batch_size}: each step used all of them"
            )
    name = f"{training.rule}: " if training.rule else ""
    data = Data(
        train_images=len(train_set),
        val_images=len(val_set),
        test_images=len(test_set),
        train_hash=content_hash(train_set),
        test_hash=content_hash(test_set),
        training_hashes=[image_hash(s.image) for s in train_set + val_set],
        split=f"{name}{kind.train_split} {len(training.samples[:limit])} / "
        f"{kind.test_split} {len(test_set)}",
        notes=notes,
    )
    for note in data.notes:
        print(note, flush=True)
    return train_set, val_set, test_set, data


def guard(
    job: Job, data: Data, val_set: list[Sample], test_set: list[Sample], inputs: Inputs
) -> leakage.Past:
    """Take in what the weights were trained on, and refuse test images that were trained on.

    Returns:
        What the weights of this job will have been trained on.

    Raises:
        UserError: there are some, and they were not allowed.
    """
    complete = True
    if inputs.weights is not None:
        before, complete = leakage.past_of(inputs.weights)
        if not complete:
            data.notes.append(
                f"{inputs.weights.name} does not say all that it was trained on: test images may "
                "be among it"
            )
        if known := leakage.leaked_names(val_set, before):
            data.notes.append(
                f"{inputs.weights.name} was trained on {len(known)} of the {len(val_set)} images "
                "of the validation part, which chooses the epoch"
            )
        data.training_hashes = list(dict.fromkeys([*before, *data.training_hashes]))
    data.leaked = leakage.leaked_names(test_set, data.training_hashes)
    if not inputs.allow_leakage:
        leakage.refuse(data.leaked, len(test_set), job.dataset, inputs.weights)
    if job.settings.epochs and job.settings.selection == "best-test":  # marked by its own name
        data.training_hashes += [image_hash(s.image) for s in test_set]
    return leakage.Past(data.training_hashes, complete)


def select(detector: Detector, state: State, selection: str) -> int:
    """Load the weights of the selected epoch into `detector`; returns that epoch."""
    if selection == "last":
        return state.next_epoch - 1
    assert state.best_epoch is not None
    assert state.best_weights is not None
    detector.load_state_dict(state.best_weights)
    return state.best_epoch


def _network(detector: Detector, device: torch.device, autocast: Autocast) -> Network:
    """Image -> probabilities."""
    number = itertools.count(1)

    def network(image: np.ndarray, geometry: Geometry = NATIVE) -> np.ndarray:
        if next(number) % GIVE_BACK_EVERY == 0:
            give_back()
        return predict(detector, image, device, autocast, geometry)

    return network


def _macs(detector: str) -> dict[str, Any]:
    """MACs as fields of `Cost`; none for a detector that cannot run on the meta device."""
    try:
        macs, macs_input = count_macs(detector)
    except Exception as error:  # whatever a forward raises there; the scores are worth more
        print(f"MACs not counted: {type(error).__name__}: {error}", flush=True)
        return {}
    return {"macs": macs, "macs_input": macs_input}


def _throttled(send: EventWriter, every: float = 1.0) -> Callable[[int, int, int], None]:
    """An `on_step` that sends at most one event a second."""
    last = 0.0

    def on_step(epoch: int, step: int, steps: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= every:
            last = now
            send("step", epoch=epoch, step=step, steps=steps)

    return on_step


def _peak_memory(device: torch.device) -> int:
    """Largest memory of this process so far, bytes: on the GPU, or resident in the host."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cpu_flags() -> str:
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""
