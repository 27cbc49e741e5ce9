"""Convolutions that are normalised in training, and plain ones again afterwards."""

from collections.abc import Iterator, Mapping
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from ulens.nets.draws import own_draws
from ulens.nets.unet import DoubleConvolution

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
        self.measured: Moments | None = None
        self.is_measuring = self.is_adopting = False

    def forward(self, x: Tensor) -> Tensor:
        assert self.bias is not None
        if self.frozen is not None:
            return functional.conv2d(x, *_fold(self.weight, self.bias, self.scale, self.frozen))
        x = functional.conv2d(x, self.weight)
        if self.is_measuring:
            variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
            self.measured = mean, variance
            if self.is_adopting:
                # with these moments it computes what it did without any
                self.scale.copy_((variance + EPSILON).sqrt())
                self.bias += mean
            return self._normalize(x)
        tiles = [self._normalize(tile) for tile in x.split(1)]
        return tiles[0] if len(tiles) == 1 else torch.cat(tiles)

    def _normalize(self, tiles: Tensor) -> Tensor:
        return functional.batch_norm(
            tiles, None, None, self.scale, self.bias, training=True, eps=EPSILON
        )


def normalize(net: nn.Module) -> None:
    """Turn the 3×3 convolutions of a network into normalised ones, in place."""
    with own_draws(0):  # of weights that are replaced
        for stage in list(net.modules()):
            if isinstance(stage, DoubleConvolution):
                for name, module in stage.named_children():
                    if isinstance(module, nn.Conv2d):
                        setattr(stage, name, NormalizedConvolution(module))
    for up in (each for each in net.modules() if isinstance(each, nn.ConvTranspose2d)):
        # what follows takes the mean away: its gradient is 0 but for rounding, which Adam magnifies
        assert up.bias is not None
        up.bias.requires_grad_(False)


@torch.no_grad()
def measure_outputs(
    net: nn.Module, weights: Mapping[str, Tensor], tiles: Tensor
) -> dict[str, Moments]:
    """Return the moments of what the normalised convolutions make of tiles, taken together.

    Parameters
    ----------
    net : as `normalize` leaves it, not frozen; it keeps its own weights, and is in eval mode then
    weights : by the names of its parameters
    tiles : (B, C, Y, X) float32; in every convolution they are normalised by the moments returned,
        so these fit together from level to level, whatever single tiles are like

    Returns
    -------
    moments by the names of the convolutions

    Notes
    -----
    Averaged weights need moments of their own: Izmailov et al. 2018, arXiv 1803.05407, section 3.2.
    """
    net.eval()
    convolutions = dict(_normalized(net))
    try:
        for convolution in convolutions.values():
            convolution.is_measuring = True
        functional_call(net, dict(weights), (tiles,), strict=True)
    finally:
        for convolution in convolutions.values():
            convolution.is_measuring = False
    return {name: cast(Moments, each.measured) for name, each in convolutions.items()}


@torch.no_grad()
def adopt(net: nn.Module, tiles: Tensor) -> dict[str, Moments]:
    """Give a network that was trained without normalisation the scales that keep its function.

    Parameters
    ----------
    net : as `normalize` leaves it
    tiles : (B, C, Y, X) float32, like those that it will be trained on

    Returns
    -------
    the moments of these tiles, as `measure_outputs` finds them; with them the network computes what
    it computed before `normalize`
    """
    for _, convolution in _normalized(net):
        convolution.is_adopting = True
    try:
        return measure_outputs(net, dict(net.named_parameters()), tiles)
    finally:
        for _, convolution in _normalized(net):
            convolution.is_adopting = False


def freeze(net: nn.Module, moments: Mapping[str, Moments]) -> None:
    """Normalise every tile by these moments from now on; without any, by its own again."""
    for name, convolution in _normalized(net):
        convolution.frozen = moments[name] if moments else None


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


def _normalized(net: nn.Module) -> Iterator[tuple[str, NormalizedConvolution]]:
    for name, module in net.named_modules():
        if isinstance(module, NormalizedConvolution):
            yield name, module
