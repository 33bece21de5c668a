"""The `export` command: a network as an ONNX graph from grey images to probabilities."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from rich.console import Console
from torch import Tensor, nn

from benchmark import __version__
from benchmark.console import say
from benchmark.errors import UserError, first_line
from benchmark.networks.source import Source
from benchmark.records.store import write_atomic
from detectors.base import Detector

if TYPE_CHECKING:
    import onnx

OPSET = 18
"""Opset that torch writes without conversion; onnxruntime reads it since 1.14 (2023)."""
THRESHOLD = 0.5
"""Probability above which a pixel is a target, as in scoring."""
TOLERANCE = 1e-3
"""Largest difference of a probability between onnxruntime and torch: rounding of large logits
makes 1e-4, and the smallest real mistake (another grid, a swapped input) 1e-2 and more."""
AXES = {0: "batch", 2: "height", 3: "width"}
"""Axes that are free wherever the network allows it."""


class GreyToProbability(nn.Module):
    """Normalisation, network and sigmoid in one, for export.

    The padding is left to the caller: as a part of the graph it would make every shape symbolic.
    """

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> Tensor:
        """Grey images (B, 1, H, W) in [0, 1] to target probabilities (B, 1, H, W)."""
        return torch.sigmoid(self.detector(self.detector.normalise(image)).logits)


def export_onnx(
    source: Source,
    path: Path,
    side: int = 256,
    console: Console | None = None,
) -> None:
    """Write a network as one ONNX file, after checking it where onnxruntime is installed.

    Input `image` (batch, 1, height, width) float32, grey in [0, 1]; output `probability` of the
    same shape. Height and width must be multiples of the detector's stride and not below its
    smallest size; these, the threshold and the origin are in the file's metadata.

    torch's exporter by graph capture is used. It takes several times as long as the older tracer
    (40 s of CPU time for UIU-Net), but that one is deprecated, and silently freezes whatever Python
    computes from a size.

    Args:
        source: the network.
        path: the file to write.
        side: height and width of the example input, px.
        console: where to report.

    Raises:
        UserError: missing packages, a side that does not fit, a network that cannot be exported,
            or one that computes something else in onnxruntime.
        OSError: the file cannot be written.
    """
    console = console or Console()
    for package in ("onnx", "onnxscript"):
        if importlib.util.find_spec(package) is None:
            raise UserError(
                "ONNX export needs the packages onnx and onnxscript: pip install onnx onnxscript"
            )
    detector, stride = source.detector, source.detector.stride
    if side % stride or side < detector.min_size:
        fits = -(-max(side, detector.min_size) // stride) * stride
        raise UserError(
            f"--side {side}: {source.name} takes multiples of {stride} from {detector.min_size}, "
            f"e.g. {fits}"
        )
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the name of the file, e.g. {path}/net.onnx")
    say(console, f"exporting {source.description}; this may take some minutes")
    network = GreyToProbability(detector).eval()
    model = _capture(network, source.name, side)
    free = _name_axes(model, side)
    _describe(model, source)
    raw = model.SerializeToString()
    checked = _check(network, raw, side, free, source.name)
    write_atomic(path, raw)

    sizes = ", ".join(free) or "nothing"
    say(console, f"{path}: {len(raw) / 1e6:.1f} MB, opset {OPSET}; free to choose: {sizes}")
    fixed = [f"{axis} {_exported(axis, side)}" for axis in AXES.values() if axis not in free]
    if fixed:
        say(console, f"{source.name} works at the exported size only: {', '.join(fixed)}")
    say(console, checked)


def _capture(network: nn.Module, name: str, side: int) -> onnx.ModelProto:
    """The graph of a network.

    Raises:
        UserError: the exporter fails.
    """
    # two images, because an axis of size 1 is taken as fixed
    example = _scene(2, side, side)
    axes = dict.fromkeys(AXES, torch.export.Dim.AUTO)  # free, or fixed if the network needs it
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                dynamic_shapes={"image": axes},
                input_names=["image"],
                output_names=["probability"],
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # the exporter may raise anything on the network's Python
        cause = error.__cause__ or error
        reason = first_line(cause)
        raise UserError(f"{name} cannot be exported to ONNX: {reason}") from error
    assert program is not None
    return program.model_proto


def _name_axes(model: onnx.ModelProto, side: int) -> list[str]:
    """Name the free axes of the graph's input and output, in place; returns these names.

    An axis is free if it is a symbol in both; the exporter may leave a symbol on the input although
    the output has a size.
    """
    axes = [
        value.type.tensor_type.shape.dim for value in (model.graph.input[0], model.graph.output[0])
    ]
    free = []
    for k, name in AXES.items():
        given, result = (dims[k] for dims in axes)
        if given.dim_param and result.dim_param:
            given.dim_param = result.dim_param = name
            free.append(name)
        else:
            given.dim_value = result.dim_value = _exported(name, side)
    return free


def _describe(model: onnx.ModelProto, source: Source) -> None:
    """Write what a user of the file needs to know into it, and drop the exporter's own notes.

    Those name this machine's source files, and take as much room as a small network.
    """
    import onnx.helper

    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph):
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    detector = source.detector
    model.doc_string = (
        "Infrared small target detection: grey image in [0, 1] to the probability of a target in "
        f"each pixel. Pad height and width to multiples of {detector.stride}, at least "
        f"{detector.min_size}, by repeating the right and the bottom border."
    )
    properties = {
        "detector": source.name,
        "description": source.description,
        "stride": detector.stride,
        "min_size": detector.min_size,
        "threshold": THRESHOLD,
        "harness": f"irstd-bench {__version__}",
    }
    onnx.helper.set_model_props(model, {key: str(value) for key, value in properties.items()})


def _check(network: GreyToProbability, raw: bytes, side: int, free: list[str], name: str) -> str:
    """Compare the graph with the network, at the exported size and at another one.

    Returns:
        One line on the result.

    Raises:
        UserError: onnxruntime cannot run it, or computes something else.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return "not checked: onnxruntime is not installed"
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    stride = network.detector.stride
    other = {"batch": 1, "height": side + stride, "width": side + 2 * stride}
    shapes = [
        [_exported(axis, side) for axis in AXES.values()],
        [size if axis in free else _exported(axis, side) for axis, size in other.items()],
    ]
    results = []
    try:
        session = onnxruntime.InferenceSession(raw, options, ["CPUExecutionProvider"])
        for batch, height, width in shapes:
            image = _scene(batch, height, width)
            with torch.inference_mode():
                expected = network(image)
            (actual,) = session.run(None, {"image": image.numpy()})
            error = (torch.from_numpy(actual) - expected).abs().max().item()
            shape = f"{batch}x1x{height}x{width}"
            if not error <= TOLERANCE:  # NaN fails, too
                raise UserError(
                    f"{name}: not exported, because onnxruntime differs from torch by {error:.1e} "
                    f"at {shape}, more than {TOLERANCE:g}"
                )
            results.append(f"{error:.1e} at {shape}")
    except UserError:
        raise
    except Exception as error:  # onnxruntime has no common base of its errors
        raise UserError(f"{name}: not exported, onnxruntime refuses it: {error}") from error
    version = onnxruntime.__version__
    return f"checked with onnxruntime {version}: largest difference {', '.join(results)}"


def _scene(batch: int, height: int, width: int) -> Tensor:
    """Noise with bright spots, so that a trained network finds something: (B, 1, H, W)."""
    generator = torch.Generator().manual_seed(0)
    image = 0.2 + 0.2 * torch.rand(batch, 1, height, width, generator=generator)
    for k in (8, 9):
        image[..., 8::32, k::32] = image[..., 9::32, k::32] = 1.0
    return image


def _exported(axis: str, side: int) -> int:
    """Size of an axis of the example input."""
    return 2 if axis == "batch" else side


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's prints, logs and warnings: they are about torch, not the network."""
    sink = io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(sink),
            contextlib.redirect_stderr(sink),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
