"""The U-Net of Ronneberger, Fischer and Brox (2015), figure 1."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ulens.nets.layers import centre_crop, check_counts, he_initialise
from ulens.nets.network import Network
from ulens.nets.shapes import Geometry, unet_geometry


class DoubleConvolution(nn.Sequential):
    """Two unpadded 3×3 convolutions, each followed by a ReLU, leaky where there is a slope."""

    def __init__(self, in_channels: int, out_channels: int, negative_slope: float) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3),
            _relu(negative_slope),
            nn.Conv2d(out_channels, out_channels, 3),
            _relu(negative_slope),
        )


def _relu(negative_slope: float) -> nn.Module:
    return nn.LeakyReLU(negative_slope, inplace=True) if negative_slope else nn.ReLU(inplace=True)


class UNet(Network):
    """U-Net with unpadded convolutions, exactly as published.

    Parameters
    ----------
    in_channels : channels of the image
    num_classes : channels of the output
    width : channels of the first level; each level down doubles them
    depth : number of 2×2 max-poolings
    dropout : probability with which a channel value is zeroed in training, after each
        of the last two stages of the contracting path (as in the released network)
    negative_slope : of the ReLUs; 0 as in the paper. Any other lets the gradient through a channel
        that is negative everywhere, which else has ceased to learn for good

    Notes
    -----
    ``forward`` maps (B, C, Y, X) float to logits (B, K, Y − 2·margin, X − 2·margin); the
    sizes it takes stand in `geometry`. Weights are drawn from N(0, √(2/N)), N = incoming
    nodes of a unit; biases are 0.

    Source: paper, figure 1 and section 3. The concatenation order [skip, upsampled]
    and the absence of a ReLU after the up-convolutions follow the paper's figure; the
    network released later differs in both.

    Examples
    --------
    >>> net = UNet(width=4, depth=2)
    >>> net(torch.zeros(1, 1, 60, 60)).shape
    torch.Size([1, 2, 20, 20])
    """

    settings = "width", "depth", "negative_slope"
    words = "U-Net that sees the image at {num_scales} scales"

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        *,
        width: int = 64,
        depth: int = 4,
        dropout: float = 0.5,
        negative_slope: float = 0.0,
    ) -> None:
        super().__init__(in_channels, num_classes, width)
        check_counts("UNet", depth=depth)
        unet_geometry(depth)  # not deeper than any
        self.depth, self.negative_slope = depth, negative_slope
        channels = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            DoubleConvolution(before, after, negative_slope)
            for before, after in pairwise([in_channels, *channels])
        )
        self.pool = nn.MaxPool2d(2)
        self.dropout = nn.Dropout(dropout)
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * c, c, 2, stride=2) for c in reversed(channels[:-1])
        )
        self.merge = nn.ModuleList(
            DoubleConvolution(2 * c, c, negative_slope) for c in reversed(channels[:-1])
        )
        self.head = nn.Conv2d(width, num_classes, 1)
        he_initialise(self)

    @staticmethod
    def geometry_of(architecture: Mapping[str, Any]) -> Geometry:
        """Return valid sizes, alignment and margin for a depth."""
        return unet_geometry(architecture["depth"])

    @property
    def last(self) -> nn.Conv2d:
        """The 1×1 convolution."""
        return self.head

    def forward(self, x: Tensor) -> Tensor:
        self.geometry.check(x.shape[-2], x.shape[-1], f"UNet(depth={self.depth})")
        skips: list[Tensor] = []
        for level, stage in enumerate(self.down):
            x = stage(x if level == 0 else self.pool(x))
            if level >= self.depth - 1:
                x = self.dropout(x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            x = merge(torch.cat([centre_crop(skips.pop(), x.shape[-2:]), x], dim=1))
        return self.head(x)
