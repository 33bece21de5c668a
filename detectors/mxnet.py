"""Weights in MXNet's `.params` format, read without MXNet: ACM and ALCNet are published in it.

    uint64 0x112, uint64 reserved
    uint64 number of arrays; each: uint32 0xF993FAC9, int32 storage type, uint32 number of
        dimensions, int64 each dimension, int32 device type, int32 device id, int32 type, values
    uint64 number of names; each: uint64 length, bytes

All little-endian. `Block.save_parameters` of Gluon writes such files.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmark.errors import UserError

_MAGIC = struct.pack("<Q", 0x112)
_ARRAY_MAGIC = 0xF993FAC9
_DENSE = 0
_DTYPES = {0: "f4", 1: "f8", 2: "f2", 3: "u1", 4: "i4", 5: "i1", 6: "i8"}
_MAX_DIMENSIONS = 32  # MXNet's own limit

_IN_BLOCK = {"0": "conv1", "1": "bn1", "3": "conv2", "4": "bn2"}  # 2 is the ReLU between
_SCALE_AND_SHIFT = {"gamma": "weight", "beta": "bias"}


def is_params(path: Path) -> bool:
    """Whether the file begins like a `.params` file, whatever it is called."""
    with path.open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def read_params(path: str | Path) -> dict[str, Tensor]:
    """Read a `.params` file: its arrays by name, without the prefixes `arg:` and `aux:`.

    Nothing in the file is executed, and no size in it is believed before it was compared with the
    length of the file.

    Raises:
        UserError: the file is damaged, in another format, or holds sparse or unnamed arrays.
    """
    path = Path(path)
    try:
        return _parse(_Bytes(path.read_bytes()))
    except _FormatError as error:
        raise UserError(
            f"{path}: not readable as an MXNet .params file ({error}); fetch it again, or write it "
            "anew with save_parameters of MXNet 1.x"
        ) from None


def to_state_dict(arrays: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename Gluon's parameters to the keys of a network with the state_dict `own`.

    Only names decide; what has no counterpart is kept, for the caller to report. Gluon stores a
    scale of ones and a shift of zeros for a BatchNorm that has neither: these are left out. It
    does not count batches: the network's own counters are put in.
    """
    state = {_key(name): array for name, array in arrays.items()}
    for layer in (key.removesuffix("running_mean") for key in own if key.endswith("running_mean")):
        for name, neutral in (("weight", 1), ("bias", 0)):
            key = layer + name
            if key not in own and key in state and bool((state[key] == neutral).all()):
                del state[key]
    counters = {key: value for key, value in own.items() if key.endswith("num_batches_tracked")}
    return counters | state


def _key(name: str) -> str:
    name = re.sub(r"\.body\.([0134])\.", lambda found: f".{_IN_BLOCK[found[1]]}.", name)
    layer, dot, last = name.rpartition(".")
    return layer + dot + _SCALE_AND_SHIFT.get(last, last)


class _FormatError(Exception):
    """A fault of the file, without its name."""


class _Bytes:
    """Takes numbers and values off the front of a file's content."""

    def __init__(self, content: bytes) -> None:
        self._rest = memoryview(content)

    def __len__(self) -> int:
        return len(self._rest)

    def take(self, size: int, what: str) -> memoryview:
        """The next `size` bytes, which hold `what`."""
        if size > len(self):
            raise _FormatError(f"it ends within {what}")
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken

    def numbers(self, layout: str, what: str) -> tuple[int, ...]:
        """The next numbers, in the notation of `struct`."""
        layout = "<" + layout
        return struct.unpack(layout, self.take(struct.calcsize(layout), what))


def _parse(file: _Bytes) -> dict[str, Tensor]:
    if file.take(len(_MAGIC), "its first bytes") != _MAGIC:
        raise _FormatError("it begins with other bytes")
    _, count = file.numbers("QQ", "its header")
    arrays = [_array(file, f"array {i} of {count}") for i in _one_to(count)]
    (named,) = file.numbers("Q", "the number of names")
    if not count == named > 0:
        raise _FormatError(f"it has {count} arrays and {named} names")
    names = [_name(file, f"name {i} of {named}") for i in _one_to(named)]
    if len(set(names)) < named:
        raise _FormatError("two arrays have the same name")
    if len(file):
        raise _FormatError(f"{len(file)} bytes follow its end")
    return dict(zip(names, arrays, strict=True))


def _array(file: _Bytes, what: str) -> Tensor:
    magic, storage, n_dimensions = file.numbers("IiI", what)
    if magic != _ARRAY_MAGIC:
        raise _FormatError(f"{what} is not in the format of MXNet 1.x")
    if storage != _DENSE:
        raise _FormatError(f"{what} is sparse (storage type {storage})")
    if not 1 <= n_dimensions <= _MAX_DIMENSIONS:
        raise _FormatError(f"{what} has {n_dimensions} dimensions")
    shape = file.numbers(f"{n_dimensions}q", what)
    if min(shape) < 1:
        raise _FormatError(f"{what} has the shape {'x'.join(map(str, shape))}")
    _, _, type_flag = file.numbers("iii", what)
    if type_flag not in _DTYPES:
        raise _FormatError(f"{what} has the unknown type {type_flag}")
    dtype = np.dtype(_DTYPES[type_flag])
    values = file.take(math.prod(shape) * dtype.itemsize, what)
    array = np.frombuffer(values, dtype.newbyteorder("<")).astype(dtype)
    return torch.from_numpy(array.reshape(shape))


def _name(file: _Bytes, what: str) -> str:
    (length,) = file.numbers("Q", what)
    try:
        name = str(file.take(length, what), "utf-8")
    except UnicodeDecodeError:
        raise _FormatError(f"{what} is not text") from None
    return name.removeprefix("arg:").removeprefix("aux:")


def _one_to(count: int) -> range:
    return range(1, count + 1)
