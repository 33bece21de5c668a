"""`export`: the file computes what the network does, at any size it says it takes."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

import benchmark.networks.onnx as module
from benchmark import __version__
from benchmark.errors import UserError
from benchmark.networks.onnx import export_onnx
from benchmark.networks.source import Source
from detectors import create_detector
from detectors.base import Detector, Prediction
from tests.parity import fill

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
onnxruntime = pytest.importorskip("onnxruntime")


class Free(Detector):
    """A convolution."""

    name = "free"
    in_channels = 3
    stride = 2
    min_size = 8

    def __init__(self):
        super().__init__()
        self.net = nn.Conv2d(3, 1, 3, padding=1)

    def forward(self, x):
        return Prediction(self.net(x))


class Fixed(Free):
    """Works at 16 x 16 px only."""

    name = "fixed"

    def __init__(self):
        super().__init__()
        self.mix = nn.Linear(256, 256)

    def forward(self, x):
        return Prediction(self.mix(self.net(x).flatten(1)).view(-1, 1, 16, 16))


class Branching(Free):
    """Takes another way for bright images."""

    name = "branching"

    def forward(self, x):
        return Prediction(self.net(x) if x.sum() > 0 else x[:, :1])


def export(detector, path, **options):
    """Export a filled detector; returns it and what was printed."""
    console = Console(file=io.StringIO(), width=80)
    which = Source(fill(detector).eval(), detector.name, f"{detector.name} of a test")
    export_onnx(which, path, console=console, **options)
    return which.detector, console.file.getvalue()


def assert_same(path, detector, *shapes):
    """The file's probabilities are the network's, and say something."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for batch, height, width in shapes:
        grey = torch.rand(batch, 1, height, width, generator=torch.Generator().manual_seed(7))
        with torch.no_grad():
            expected = detector(detector.normalise(grey)).logits.sigmoid().numpy()
        (actual,) = session.run(["probability"], {"image": grey.numpy()})
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4)
        assert expected.std() > 1e-3


def shape_of(value):
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


@pytest.fixture(scope="module")
def acm(tmp_path_factory):
    """acm:port as a file."""
    path = tmp_path_factory.mktemp("export") / "below" / "acm.onnx"
    handlers, level = list(logging.root.handlers), logging.root.manager.disable
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        detector, text = export(create_detector("acm:port"), path, side=64)
    assert not seen
    assert (logging.root.handlers, logging.root.manager.disable) == (handlers, level)
    return path, detector, text


@pytest.mark.extra
def test_computes_the_same_at_other_sizes_and_batches(acm):
    path, detector, _ = acm
    assert_same(path, detector, (1, 64, 64), (3, 48, 96), (1, 16, 112))


def test_graph_is_valid_and_its_axes_have_names(acm):
    model = onnx.load(acm[0])
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == 18
    (image,), (probability,) = model.graph.input, model.graph.output
    assert (image.name, probability.name) == ("image", "probability")
    assert shape_of(image) == shape_of(probability) == ["batch", 1, "height", "width"]
    assert image.type.tensor_type.elem_type == onnx.TensorProto.FLOAT


def test_file_says_how_to_use_it_and_nothing_of_this_machine(acm):
    path, detector, _ = acm
    model = onnx.load(path, load_external_data=False)
    assert {p.key: p.value for p in model.metadata_props} == {
        "detector": "acm",
        "description": "acm of a test",
        "stride": "16",
        "min_size": str(detector.min_size),
        "threshold": "0.5",
        "harness": f"irstd-bench {__version__}",
    }
    assert "multiples of 16" in model.doc_string
    raw = path.read_bytes()
    assert b".py" not in raw
    assert [p.name for p in path.parent.iterdir()] == ["acm.onnx"]
    state = sum(v.numel() for v in detector.state_dict().values()) * 4
    assert len(raw) < 1.2 * state


def test_says_that_it_was_checked(acm):
    path, _, text = acm
    assert f"{path}: 1.6 MB, opset 18; free to choose: batch, height, width\n" in text
    assert f"checked with onnxruntime {onnxruntime.__version__}: largest difference" in text
    assert " at 2x1x64x64, " in text
    assert " at 1x1x80x96\n" in text
    assert len(text.splitlines()) == 3


@pytest.mark.extra
def test_mshnet(tmp_path):
    path = tmp_path / "mshnet.onnx"
    detector, text = export(create_detector("mshnet"), path, side=64)
    assert "free to choose: batch, height, width\n" in text
    assert_same(path, detector, (1, 64, 64), (2, 48, 80))


def test_network_of_one_size_is_exported_at_that_size(tmp_path):
    path = tmp_path / "fixed.onnx"
    detector, text = export(Fixed(), path, side=16)
    assert "free to choose: batch\n" in text
    assert "fixed works at the exported size only: height 16, width 16\n" in text
    assert shape_of(onnx.load(path).graph.input[0]) == ["batch", 1, 16, 16]
    assert_same(path, detector, (1, 16, 16), (5, 16, 16))


def test_network_that_cannot_be_exported_is_refused(tmp_path):
    with pytest.raises(UserError, match="branching cannot be exported to ONNX: Could not guard"):
        export(Branching(), tmp_path / "b.onnx", side=16)
    assert not list(tmp_path.iterdir())


def test_file_that_computes_something_else_is_not_left_behind(tmp_path, monkeypatch):
    path = tmp_path / "free.onnx"
    path.write_bytes(b"an older file")
    describe = module._describe

    def spoil(model, which):
        describe(model, which)
        for array in model.graph.initializer:
            if list(array.dims) == [1]:  # the bias
                shifted = onnx.numpy_helper.to_array(array) + 0.01
                array.CopyFrom(onnx.numpy_helper.from_array(shifted.astype("f4"), array.name))

    monkeypatch.setattr(module, "_describe", spoil)
    with pytest.raises(UserError, match="free: not exported, because onnxruntime differs from tor"):
        export(Free(), path, side=16)
    monkeypatch.setattr(module, "_describe", lambda model, which: model.graph.node.pop())
    with pytest.raises(UserError, match="free: not exported, onnxruntime refuses it"):
        export(Free(), path, side=16)
    assert path.read_bytes() == b"an older file"
    assert [p.name for p in tmp_path.iterdir()] == ["free.onnx"]


def test_missing_packages(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    path = tmp_path / "free.onnx"

    def without(*names):
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: None if name in names else find(name)
        )

    without("onnxscript")
    with pytest.raises(UserError, match="needs the packages onnx and onnxscript: pip install onnx"):
        export(Free(), path, side=16)
    without("onnxruntime")
    _, text = export(Free(), path, side=16)
    assert text.endswith("not checked: onnxruntime is not installed\n")
    assert_same(path, fill(Free()).eval(), (1, 16, 16))


def test_sides_that_do_not_fit(tmp_path):
    with pytest.raises(UserError, match=r"--side 17: free takes multiples of 2 from 8, e\.g\. 18"):
        export(Free(), tmp_path / "x.onnx", side=17)
    with pytest.raises(UserError, match=r"--side 6: free takes multiples of 2 from 8, e\.g\. 8"):
        export(Free(), tmp_path / "x.onnx", side=6)
    with pytest.raises(UserError, match="is a folder"):
        export(Free(), tmp_path, side=16)
