"""Convolutions that are normalised in training, and plain ones again afterwards."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ulens.nets.unet import DoubleConvolution, UNet

EPSILON = 1e-5
Moments = tuple[Tensor, Tensor]
"""Mean and variance of every channel, (C,) each."""


class NormalizedConvolution(nn.Conv2d):
    """A convolution whose output has a learned mean and deviation in every channel.

    Parameters
    ----------
    convolution : 3×3, unpadded; its weights and bias are taken over, the bias as the mean

    Notes
    -----
    Batch normalisation with every tile a batch of its own: a tile's gradient then does not depend
    on the tiles or processes beside it. Once its moments are frozen they are the same for all
    tiles, as they will be for the parts of a large image, which have to fit together.

    Source: Ioffe and Szegedy 2015, arXiv 1502.03167.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__(convolution.in_channels, convolution.out_channels, 3)
        assert convolution.bias is not None
        self.weight, self.bias = convolution.weight, convolution.bias
        self.scale = nn.Parameter(torch.ones_like(convolution.bias))
        self.frozen: Moments | None = None
        self.seen: list[Moments] | None = None

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        if self.frozen is not None:
            return functional.conv2d(x, *_fold(self.weight, self.bias, self.scale, self.frozen))
        tiles = [self._normalize(tile) for tile in functional.conv2d(x, self.weight).split(1)]
        return tiles[0] if len(tiles) == 1 else torch.cat(tiles)

    def _normalize(self, tile: Tensor) -> Tensor:
        if self.seen is not None:
            variance, mean = torch.var_mean(tile.float(), (0, 2, 3), correction=0)
            self.seen.append((mean, variance))
        return functional.batch_norm(
            tile, None, None, self.scale, self.bias, training=True, eps=EPSILON
        )


def normalize(net: UNet) -> None:
    """Turn the 3×3 convolutions of a network into normalised ones, in place."""
    for stage in list(net.modules()):
        if isinstance(stage, DoubleConvolution):
            for name, module in stage.named_children():
                if isinstance(module, nn.Conv2d):
                    setattr(stage, name, NormalizedConvolution(module))
    for up in net.up:
        # what follows takes the mean away: its gradient is 0 but for rounding, which Adam magnifies
        up.bias.requires_grad_(False)


@torch.no_grad()
def measure_moments(
    net: UNet, weights: Mapping[str, Tensor], tiles: Sequence[Tensor]
) -> dict[str, Moments]:
    """Return what the normalised convolutions make, before they are normalised.

    Parameters
    ----------
    net : as `normalize` leaves it, not frozen; it keeps its own weights
    weights : by the names of its parameters
    tiles : (1, C, Y, X) float32

    Returns
    -------
    the mean of the tiles' moments, by the names of the convolutions

    Notes
    -----
    Averaged weights need moments of their own: Izmailov et al. 2018, arXiv 1803.05407, section 3.2.
    """
    net.eval()
    convolutions = dict(_normalized(net))
    for convolution in convolutions.values():
        convolution.seen = []
    for tile in tiles:
        functional_call(net, dict(weights), (tile,))
    moments = {}
    for name, convolution in convolutions.items():
        means, variances = zip(*(convolution.seen or ()), strict=True)
        moments[name] = torch.stack(means).mean(0), torch.stack(variances).mean(0)
        convolution.seen = None
    return moments


def freeze(net: UNet, moments: Mapping[str, Moments]) -> None:
    """Normalise every tile by these moments from now on; without any, by its own again."""
    for name, convolution in _normalized(net):
        convolution.frozen = moments.get(name)


@torch.no_grad()
def fold(weights: Mapping[str, Tensor], moments: Mapping[str, Moments]) -> dict[str, Tensor]:
    """Return the weights of a plain network that computes what a normalised one does.

    Parameters
    ----------
    weights : of the normalised network, by the names of its parameters
    moments : by the names of its convolutions
    """
    folded = dict(weights)
    for name, each in moments.items():
        weight, bias, scale = (folded.pop(f"{name}.{part}") for part in ("weight", "bias", "scale"))
        folded[f"{name}.weight"], folded[f"{name}.bias"] = _fold(weight, bias, scale, each)
    return folded


def _fold(weight: Tensor, bias: Tensor, scale: Tensor, moments: Moments) -> tuple[Tensor, Tensor]:
    mean, variance = moments
    factor = scale / (variance + EPSILON).sqrt()
    return weight * factor[:, None, None, None], bias - mean * factor


def _normalized(net: UNet) -> Iterator[tuple[str, NormalizedConvolution]]:
    for name, module in net.named_modules():
        if isinstance(module, NormalizedConvolution):
            yield name, module
