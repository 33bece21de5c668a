"""MXNet's `.params`: files of a writer of our own load; damaged and foreign ones are refused."""

from __future__ import annotations

import functools
import math
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from benchmark.errors import UserError
from detectors import create_detector
from detectors.mxnet import is_params, read_params
from detectors.weights import load_weights
from tests.parity import arrays, assert_close_map, facts, fill, images

TYPES = {"float32": 0, "float64": 1, "float16": 2, "uint8": 3, "int32": 4, "int8": 5, "int64": 6}
HEADER = struct.pack("<QQ", 0x112, 0)
# what MXNet 1.9.1 writes for {"a": [[1, 2, 3]] in float32, "arg:b": [4] in float16}
MXNET_191 = bytes.fromhex(
    "1201000000000000 0000000000000000 0200000000000000"
    "c9fa93f9 00000000 02000000 0100000000000000 0300000000000000 01000000 00000000 00000000"
    "0000803f 00000040 00004040"
    "c9fa93f9 00000000 01000000 0100000000000000 01000000 00000000 02000000 0044"
    "0200000000000000 0100000000000000 61 0500000000000000 6172673a62"
)


def array_bytes(array: np.ndarray, magic: int = 0xF993FAC9, storage: int = 0) -> bytes:
    """One array; on GPU 3, as networks are saved that were trained there."""
    head = struct.pack("<IiI", magic, storage, array.ndim)
    shape = b"".join(struct.pack("<q", length) for length in array.shape)
    return head + shape + struct.pack("<iii", 2, 3, TYPES[array.dtype.name]) + array.tobytes()


def file_bytes(content: dict[str, np.ndarray]) -> bytes:
    blocks = [HEADER, struct.pack("<Q", len(content))]
    blocks += [array_bytes(array) for array in content.values()]
    blocks.append(struct.pack("<Q", len(content)))
    for name in content:
        blocks += [struct.pack("<Q", len(name.encode())), name.encode()]
    return b"".join(blocks)


def gluon_name(key: str, state: dict[str, Tensor]) -> str:
    """A key of ours as `save_parameters` names it."""
    parts = key.split(".")
    if parts[0].startswith(("layer", "uplayer")) and parts[2] != "downsample":
        parts[2:3] = {
            "conv1": ["body", "0"],
            "bn1": ["body", "1"],
            "conv2": ["body", "3"],
            "bn2": ["body", "4"],
        }[parts[2]]
    if key.rpartition(".")[0] + ".running_mean" in state:
        parts[-1] = {"weight": "gamma", "bias": "beta"}.get(parts[-1], parts[-1])
    return ".".join(parts)


def gluon(state: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """The content of the file that Gluon would write for these weights."""
    channels = len(state["stem.0.running_mean"])
    neutral = {"gamma": np.ones(channels, np.float32), "beta": np.zeros(channels, np.float32)}
    content = {f"stem.0.{name}": values for name, values in neutral.items()}
    for key, value in state.items():
        if not key.endswith("num_batches_tracked"):
            content[gluon_name(key, state)] = value.numpy()
    return content


@functools.cache
def golden(name: str) -> dict[str, np.ndarray]:
    return gluon(fill(create_detector(name)).state_dict())


def write(path: Path, content: dict[str, np.ndarray] | bytes) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else file_bytes(content))
    return path


def test_a_file_that_mxnet_wrote(tmp_path):
    path = write(tmp_path / "small.params", MXNET_191)
    content = read_params(path)
    assert content.keys() == {"a", "b"}
    assert content["a"].tolist() == [[1, 2, 3]]
    assert content["b"].tolist() == [4]
    assert (content["a"].dtype, content["b"].dtype) == (torch.float32, torch.float16)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("shape", [(1,), (7,), (2, 3, 4, 5)])
def test_types_and_shapes(dtype, shape, tmp_path):
    array = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    content = {"arg:a.weight": array, "aux:a.running_mean": array[:1], "é": array}
    read = read_params(write(tmp_path / "w.params", content))
    assert list(read) == ["a.weight", "a.running_mean", "é"]
    for actual, expected in zip(read.values(), content.values(), strict=True):
        np.testing.assert_array_equal(actual.numpy(), expected, strict=True)


@pytest.mark.parametrize("extension", ["params", "pth", "bin"])
@pytest.mark.parametrize("name", ["acm", "alcnet"])
def test_weights_in_gluons_names_give_the_golden_outputs(name, extension, tmp_path):
    path = write(tmp_path / f"w.{extension}", golden(name))
    assert is_params(path)
    model = create_detector(name, weights=path).eval()
    expected = fill(create_detector(name)).state_dict()
    for key, value in model.state_dict().items():
        assert torch.equal(value, expected[key]), key
    model.min_size = 1
    with torch.no_grad():
        logits = model(images(*facts(name)["eval"]["input_shape"])).logits
    assert_close_map(logits, arrays(name)["eval_logits"])


def test_prefixes_of_an_exported_network(tmp_path):
    content = {
        ("aux:" if "running" in name else "arg:") + name: array
        for name, array in golden("acm").items()
    }
    loaded = create_detector("acm", weights=write(tmp_path / "w.params", content)).state_dict()
    expected = fill(create_detector("acm")).state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


def test_first_batchnorm_with_scale_and_shift_keeps_them(tmp_path):
    model = fill(create_detector("acm:port"))
    expected = model.state_dict()
    path = write(tmp_path / "w.params", gluon(expected))
    loaded = create_detector("acm:port", weights=path).state_dict()
    assert all(torch.equal(loaded[key], expected[key]) for key in expected)


@pytest.mark.parametrize(("name", "key"), [("gamma", "weight"), ("beta", "bias")])
def test_scale_or_shift_that_acts_is_not_dropped(name, key, tmp_path):
    content = golden("acm") | {f"stem.0.{name}": np.array([1, 0, 1], np.float32)}
    with pytest.raises(UserError, match=rf"1 unexpected \(stem\.0\.{key}\)"):
        create_detector("acm", weights=write(tmp_path / "w.params", content))


def test_counters_of_batches_are_kept(tmp_path):
    model = create_detector("acm")
    model.stem[0].num_batches_tracked += 5
    load_weights(model, write(tmp_path / "w.params", golden("acm")))
    assert model.stem[0].num_batches_tracked == 5


def test_weights_of_the_other_network_are_named(tmp_path):
    path = write(tmp_path / "w.params", golden("alcnet"))
    with pytest.raises(UserError, match=r"w\.params: .* missing .*these weights fit alcnet with"):
        create_detector("acm", weights=path)


def test_unknown_names_are_reported(tmp_path):
    content = dict(golden("acm"))
    content["features.0.weight"] = content.pop("head.block.0.weight")
    with pytest.raises(UserError) as caught:
        create_detector("acm", weights=write(tmp_path / "w.params", content))
    assert "1 missing (head.block.0.weight)" in str(caught.value)
    assert "1 unexpected (features.0.weight)" in str(caught.value)


def test_every_truncation_is_refused(tmp_path):
    for length in range(len(MXNET_191)):
        path = write(tmp_path / "w.params", MXNET_191[:length])
        with pytest.raises(UserError, match=r"w\.params: not readable .*ends within"):
            read_params(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated_weights(part, tmp_path):
    content = file_bytes(golden("alcnet"))
    path = write(tmp_path / "w.params", content[: int(part * len(content))])
    with pytest.raises(UserError, match=r"w\.params: not readable .*ends within (array|name) \d+"):
        create_detector("alcnet", weights=path)


ONE = array_bytes(np.ones(2, np.float32))
COUNT = struct.pack("<Q", 1)
NAME = struct.pack("<QQ", 1, 1) + b"a"
AT = {"array magic": 24, "dimensions": 32, "length": 36, "type": 52}  # offsets with one array


def changed(field: str, layout: str, value: int) -> bytes:
    content = bytearray(HEADER + COUNT + ONE + NAME)
    struct.pack_into(layout, content, AT[field], value)
    return bytes(content)


BROKEN = {
    "other first bytes": (b"PK\x03\x04" + MXNET_191[4:], "begins with other bytes"),
    "older arrays": (changed("array magic", "<I", 0xF993FAC8), "array 1 of 1 is not in the format"),
    "sparse": (HEADER + COUNT + array_bytes(np.ones(2, np.float32), storage=1) + NAME, "sparse"),
    "no dimension": (changed("dimensions", "<I", 0), "0 dimensions"),
    "many dimensions": (changed("dimensions", "<I", 2**32 - 1), "4294967295 dimensions"),
    "negative length": (changed("length", "<q", -2), "the shape -2"),
    "length zero": (changed("length", "<q", 0), "the shape 0"),
    "huge length": (changed("length", "<q", 2**62), "ends within array 1"),
    "unknown type": (changed("type", "<i", 12), "unknown type 12"),
    "many arrays": (HEADER + struct.pack("<Q", 2**63) + ONE, "array 2 of 9223372036854775808"),
    "no array": (HEADER + bytes(16), "0 arrays and 0 names"),
    "no names": (HEADER + COUNT + ONE + bytes(8), "1 arrays and 0 names"),
    "many names": (HEADER + COUNT + ONE + struct.pack("<Q", 2**63), "1 arrays and 9223372036854"),
    "long name": (HEADER + COUNT + ONE + struct.pack("<QQ", 1, 2**63), "ends within name 1"),
    "binary name": (HEADER + COUNT + ONE + struct.pack("<QQ", 1, 1) + b"\xff", "not text"),
    "same name": (
        HEADER
        + struct.pack("<Q", 2)
        + ONE
        + ONE
        + struct.pack("<QQ1sQ5s", 2, 1, b"a", 5, b"arg:a"),
        "same name",
    ),
    "bytes after the end": (MXNET_191 + b"\0", "1 bytes follow"),
}


def test_the_unbroken_file_is_read(tmp_path):
    content = read_params(write(tmp_path / "w.params", HEADER + COUNT + ONE + NAME))
    assert content["a"].tolist() == [1, 1]


@pytest.mark.parametrize(("content", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_files(content, reason, tmp_path):
    path = write(tmp_path / "w.params", content)
    with pytest.raises(UserError, match=reason) as caught:
        read_params(path)
    assert str(path) in str(caught.value)
    assert "save_parameters" in str(caught.value)
    assert "\n" not in str(caught.value)


# the file is overwritten for every example, and is read as a whole
fuzz = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def allocates_little(path: Path) -> dict[str, Tensor]:
    """Read the file; a size in it must never become memory that the file does not fill."""
    size = path.stat().st_size
    tracemalloc.start()
    try:
        return read_params(path)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 4 * size + 200_000


@fuzz
@given(st.binary(max_size=300))
@example(bytes(24))
def test_random_bytes_after_the_magic(tmp_path, tail):
    path = write(tmp_path / "w.params", HEADER[:8] + tail)
    with pytest.raises(UserError, match=r"w\.params"):
        allocates_little(path)


@fuzz
@given(st.data())
def test_a_valid_file_with_some_bytes_changed(tmp_path, data):
    content = bytearray(MXNET_191)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = write(tmp_path / "w.params", bytes(content))
    try:
        read = allocates_little(path)
    except UserError as error:
        assert str(path) in str(error)  # noqa: PT017 - a change in the values or names is valid
    else:
        assert [array.numel() for array in read.values()] == [3, 1]
