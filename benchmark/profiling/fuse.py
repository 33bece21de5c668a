"""Batch normalisations folded into the convolutions before them, as for deployment.

A chain y = BN(conv(x)) is found by watching a forward pass: hooks note which tensor a convolution
returned and which tensor a normalisation took, and a dispatch mode counts all uses of each. A pair
may be folded if the convolution's output goes to that normalisation only, in every run of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from detectors.base import Detector, Prediction

SIDE = 64
"""Side of the random images for the watched pass, px; more where the network needs more."""
TOLERANCE = 1e-3
"""Largest change of an output by folding, in units of its standard deviation."""

Convolution = nn.Conv2d | nn.ConvTranspose2d


class Folded(NamedTuple):
    """A detector that computes the same with fewer layers."""

    detector: Detector
    folded: int  # batch normalisations that are gone
    total: int  # those that a forward pass runs


def fold_batchnorm(detector: Detector) -> Folded:
    """A copy in eval mode whose batch normalisations are folded into the convolutions before them.

    Which layer follows which is seen in a forward pass, so any network will do. Normalisations that
    follow something else, or a convolution whose output also goes elsewhere, are kept.

    Raises:
        RuntimeError: folding changed the outputs.
    """
    copy = deepcopy(detector).eval()
    side = -(-max(detector.min_size, SIDE) // detector.stride) * detector.stride
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, detector.in_channels, side, side, generator=generator)
    x = x.to(next(detector.parameters(), x).device)
    with torch.inference_mode(False), torch.no_grad():  # its operations have other names
        pairs, total, before = _follow(copy, x)
        for convolution, norm in pairs:
            _fold(convolution, norm)
            _replace(copy, norm, nn.Identity())
        _compare(before, copy(x))
    return Folded(copy, len(pairs), total)


class _Uses(TorchDispatchMode):
    """Counts how often each tensor is an argument of an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[int] = Counter()  # by id
        self.as_kernel: Counter[int] = Counter()  # likewise, as the kernel of a convolution

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        self.count.update(id(leaf) for leaf in tree_leaves((args, kwargs)) if torch.is_tensor(leaf))
        if func is torch.ops.aten.convolution.default:
            self.as_kernel[id(args[1])] += 1
        return func(*args, **kwargs)


def _follow(
    model: nn.Module, x: Tensor
) -> tuple[list[tuple[Convolution, nn.BatchNorm2d]], int, Prediction]:
    """Convolutions that feed one batch normalisation and nothing else.

    Returns:
        These pairs, the number of batch normalisations that were run, and the outputs.
    """
    uses = _Uses()
    outputs: dict[int, tuple[Convolution, Tensor]] = {}  # the tensors are kept: ids stay unique
    inputs: dict[nn.BatchNorm2d, list[Convolution | None]] = defaultdict(list)

    def after_convolution(module: Convolution, _: Any, y: Tensor) -> None:
        outputs[id(y)] = module, y
        uses.count[id(y)] = 0  # the id may have been another tensor's

    def before_norm(module: nn.BatchNorm2d, args: tuple[Tensor]) -> None:
        inputs[module].append(outputs.get(id(args[0]), (None,))[0])

    handles = []
    for module in model.modules():
        if isinstance(module, Convolution):
            handles.append(module.register_forward_hook(after_convolution))
        elif isinstance(module, nn.BatchNorm2d):
            handles.append(module.register_forward_pre_hook(before_norm))
    with uses:
        prediction = model(x)
    for handle in handles:
        handle.remove()
    uses.count.update(id(leaf) for leaf in tree_leaves(prediction))  # an output counts as a use

    # One use is the normalisation's own; any other would see the folded values.
    runs = Counter(convolution for convolution, _ in outputs.values())
    shared = {convolution for convolution, y in outputs.values() if uses.count[id(y)] != 1}
    pairs = []
    for norm, convolutions in inputs.items():
        convolution = convolutions[0]
        if convolution is None or convolution in shared:
            continue
        if type(norm) is not nn.BatchNorm2d or norm.running_mean is None:
            continue  # a subclass may do more: timm's include an activation
        weight = id(convolution.weight)  # a kernel that is normalised or tied is used elsewhere too
        # Every use of the kernel must be a run of this convolution, as it is ...
        plain = uses.count[weight] == uses.as_kernel[weight] == runs[convolution]
        # ... and every run must feed this normalisation: a shared layer may run several times.
        if plain and convolutions == [convolution] * runs[convolution]:
            pairs.append((convolution, norm))
    return pairs, len(inputs), prediction


def _fold(convolution: Convolution, norm: nn.BatchNorm2d) -> None:
    """Scale the kernels by g = gamma / sqrt(var + eps); the bias becomes beta + (b - mean) g."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, weight = norm.running_mean.double(), convolution.weight.double()
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    if norm.affine:
        scale = scale * norm.weight.double()
    bias = -mean * scale
    if convolution.bias is not None:
        bias = bias + convolution.bias.double() * scale
    if norm.affine:
        bias = bias + norm.bias.double()
    # g is one number an output channel, whose axis depends on the kind of convolution.
    if isinstance(convolution, nn.ConvTranspose2d):  # (C_in, C_out / groups, h, w)
        groups = convolution.groups
        each = weight.unflatten(0, (groups, -1)) * scale.view(groups, 1, -1, 1, 1)
        weight = each.flatten(0, 1)
    else:  # (C_out, C_in / groups, h, w)
        weight = weight * scale.view(-1, 1, 1, 1)
    convolution.weight = nn.Parameter(weight.to(convolution.weight))
    convolution.bias = nn.Parameter(bias.to(convolution.weight))


def _replace(model: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put `new` wherever `old` is registered."""
    for parent in list(model.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)


def _compare(before: Prediction, after: Prediction) -> None:
    for old, new in zip(tree_leaves(before), tree_leaves(after), strict=True):
        error, spread = (old - new).abs().max().item(), old.std().item()
        if not error <= TOLERANCE * spread + 1e-6:  # NaN fails too
            raise RuntimeError(
                f"folding the batch normalisations changed an output by {error:.2g} "
                f"(its std is {spread:.2g}); this detector cannot be folded"
            )
