"""What the networks have in common: how weights are drawn, and the crop of a skip connection."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ulens.errors import SettingError


def he_initialise(net: nn.Module) -> None:
    """Draw the weights of every convolution in `net` from N(0, √(2/N)); set biases to 0.

    N counts the incoming nodes of a unit. On the meta device there is nothing to draw, and trying
    would load PyTorch's compiler. Source: paper, section 3; He et al., arXiv 1502.01852.
    """
    for module in net.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) and not module.weight.is_meta:
            # each output pixel of a 2×2 stride-2 up-convolution sees one input pixel
            nodes = module.in_channels
            if isinstance(module, nn.Conv2d):
                nodes *= math.prod(module.kernel_size)
            nn.init.normal_(module.weight, std=math.sqrt(2 / nodes))
            assert module.bias is not None
            nn.init.zeros_(module.bias)


def check_counts(network: str, **counts: int) -> None:
    """Raise SettingError unless every one of `counts` is at least 1."""
    for name, value in counts.items():
        if value < 1:
            raise SettingError(f"{name} is {value}; {network} needs at least 1")


def centre_crop(x: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Return the central (Y, X) window of `size` of a (…, Y, X) tensor."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    bottom, right = x.shape[-2] - size[0] - top, x.shape[-1] - size[1] - left
    # a negative padding rather than a slice: its gradient keeps the channels-last layout
    return functional.pad(x, (-left, -right, -top, -bottom))
