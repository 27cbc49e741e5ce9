"""Convolutions in 8-bit integers, by quantisation after training."""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ulens.nets.unet import UNet

Convolution = nn.Conv2d | nn.ConvTranspose2d
Ranges = Mapping[str, tuple[float, float]]
"""Smallest and largest input of convolutions, by their names in the network."""

_TOP_INPUT, _TOP_WEIGHT, _TOP_OF_8_BITS = 255, 64, 127
_FRACTIONS = (1.0, 0.9, 0.8, 0.7, 0.6)


class QuantizedConvolution(nn.Module):
    """A convolution whose inputs and weights are rounded to 8 bits.

    Parameters
    ----------
    convolution : it stays as it is
    low, high : range of its input; 0 is made part of it, and what lies outside is clipped

    Notes
    -----
    Inputs share one scale and zero point; the weights have a scale for each output channel, are
    symmetric, and take seven of the eight bits: a processor without VNNI adds two products in 16
    bits, which 2·255·64 just fits, so that the integers are the same on every processor. The
    rounded values are computed with in floating point. An engine that knows the pattern, as
    OpenVINO does, computes the same in integers.

    Source: Jacob et al. 2018, section 2; Krishnamoorthi 2018, arXiv 1806.08342, section 3; for
    the seven bits OpenVINO's page on saturation.
    """

    weight_scale: Tensor
    weight_zero: Tensor

    def __init__(self, convolution: Convolution, low: float, high: float) -> None:
        super().__init__()
        self.convolution = convolution
        self.low, self.high = min(low, 0.0), max(high, 0.0)
        weight = convolution.weight.detach()
        self._axis = 1 if isinstance(convolution, nn.ConvTranspose2d) else 0
        others = [axis for axis in range(weight.ndim) if axis != self._axis]
        scale = weight.abs().amax(others).clamp(min=1e-12) / _TOP_WEIGHT
        self.register_buffer("weight_scale", scale)
        self.register_buffer("weight_zero", torch.zeros_like(scale, dtype=torch.int32))

    def forward(self, x: Tensor) -> Tensor:
        x = _round_inputs(x, self.low, self.high)
        weight = torch.fake_quantize_per_channel_affine(
            self.convolution.weight,
            self.weight_scale,
            self.weight_zero,
            self._axis,
            -_TOP_OF_8_BITS,
            _TOP_OF_8_BITS,
        )
        bias = self.convolution.bias
        if isinstance(self.convolution, nn.ConvTranspose2d):
            return functional.conv_transpose2d(x, weight, bias, self.convolution.stride)
        return functional.conv2d(x, weight, bias)


def quantize(net: UNet, ranges: Ranges) -> UNet:
    """Return a copy of a network in which the convolutions named in `ranges` are quantised."""
    copied = copy.deepcopy(net)
    for name, (low, high) in ranges.items():
        parent, _, leaf = name.rpartition(".")
        owner = copied.get_submodule(parent)
        convolution = owner.get_submodule(leaf)
        assert isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d))
        setattr(owner, leaf, QuantizedConvolution(convolution, low, high))
    return copied


@torch.no_grad()
def equalize(net: UNet, windows: Sequence[Tensor]) -> UNet:
    """Return a network that computes the same, to the last bit, from channels of like ranges.

    Parameters
    ----------
    windows : (1, C, Y, X) float32

    Notes
    -----
    A convolution's inputs share one scale in 8 bits, so channels of small values lose most. ReLUs,
    leaky ones too, and max-pooling commute with positive factors: what leaves a convolution is
    divided by a power of two, near the square root of its channel's share of the largest value, and
    the weights that take it up are multiplied by it.

    Source: Nagel et al. 2019, arXiv 1906.04721, section 4.1; the square root is that of Xiao et
    al. 2023, arXiv 2211.10438, equation 4.
    """
    equal = copy.deepcopy(net).eval()
    links = list(_links(equal))
    peaks = [torch.zeros(source.out_channels) for source, _ in links]

    def watch(peak: Tensor, start: int) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def see(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            seen = inputs[0][0, start : start + len(peak)].abs().amax((-2, -1))
            torch.maximum(peak, seen, out=peak)

        return see

    hooks = [
        users[0][0].register_forward_pre_hook(watch(peak, users[0][1]))
        for peak, (_, users) in zip(peaks, links, strict=True)
    ]
    for window in windows:
        equal(window)
    for hook in hooks:
        hook.remove()
    for peak, (source, users) in zip(peaks, links, strict=True):
        share = torch.where(peak > 0, peak / peak.max(), 1.0).clamp(min=2.0**-16)
        scale = torch.exp2(torch.round(torch.log2(share) / 2))
        _outputs_first(source).div_(scale[:, None, None, None])
        assert source.bias is not None
        source.bias.div_(scale)
        for user, start in users:
            _inputs_first(user)[start : start + len(scale)].mul_(scale[:, None, None, None])
    return equal


def _links(net: UNet) -> Iterator[tuple[Convolution, list[tuple[Convolution, int]]]]:
    """Yield each convolution with those that take up its output, and from which channel on."""
    # of modules, whose parts torch gives no types
    parts: list[list[Any]] = [list(net.down), list(net.up), list(net.merge)]
    down, up, merge = parts
    for level, (first, _, second, _) in enumerate(down):
        yield first, [(second, 0)]
        if level == net.depth:
            yield second, [(up[0], 0)]
        else:
            yield second, [(down[level + 1][0], 0), (merge[net.depth - 1 - level][0], 0)]
    for grow, (first, _, second, _), after in zip(up, merge, [*up[1:], net.head], strict=True):
        yield grow, [(first, grow.out_channels)]
        yield first, [(second, 0)]
        yield second, [(after, 0)]


def _outputs_first(convolution: Convolution) -> Tensor:
    weight = convolution.weight
    return weight.transpose(0, 1) if isinstance(convolution, nn.ConvTranspose2d) else weight


def _inputs_first(convolution: Convolution) -> Tensor:
    return _outputs_first(convolution).transpose(0, 1)


class Measured(NamedTuple):
    """The input of a convolution, as seen on windows.

    Parameters
    ----------
    low, high : the range that 8 bits divide with the smallest squared error
    multiplications : in all windows
    """

    low: float
    high: float
    multiplications: int


@torch.no_grad()
def measure_inputs(net: UNet, windows: Sequence[Tensor]) -> dict[str, Measured]:
    """Look at the input of every convolution while the network sees (1, C, Y, X) windows."""
    watched = copy.deepcopy(net).eval()
    watchers = {
        name: _Watcher(module)
        for name, module in watched.named_modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    }
    for _ in ("the ranges", "the errors"):
        for window in windows:
            watched(window)
        for watcher in watchers.values():
            watcher.knows_range = True
    return {name: watcher.measured() for name, watcher in watchers.items()}


class _Watcher:
    """Sees a convolution's inputs twice: for their range, then for what clipping it would cost."""

    def __init__(self, convolution: Convolution) -> None:
        self.knows_range = False
        self._low = self._high = 0.0
        self._multiplications = 0
        self._errors = [0.0] * len(_FRACTIONS)
        convolution.register_forward_hook(self._see)

    def _see(self, convolution: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(convolution, (nn.Conv2d, nn.ConvTranspose2d))
        (x,) = inputs
        if not self.knows_range:
            self._low = min(self._low, float(x.min()))
            self._high = max(self._high, float(x.max()))
            is_transposed = isinstance(convolution, nn.ConvTranspose2d)
            positions = (x if is_transposed else output)[0, 0].numel()
            self._multiplications += positions * convolution.weight.numel()
            return
        for number, fraction in enumerate(_FRACTIONS):
            rounded = _round_inputs(x, fraction * self._low, fraction * self._high)
            self._errors[number] += float((rounded - x).square().sum())

    def measured(self) -> Measured:
        fraction = _FRACTIONS[self._errors.index(min(self._errors))]
        return Measured(fraction * self._low, fraction * self._high, self._multiplications)


def _round_inputs(x: Tensor, low: float, high: float) -> Tensor:
    scale = max(high - low, 1e-9) / _TOP_INPUT
    return torch.fake_quantize_per_tensor_affine(x, scale, round(-low / scale), 0, _TOP_INPUT)
