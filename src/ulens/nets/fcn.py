"""The fully convolutional networks of Long, Shelhamer and Darrell (2015), unpadded."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, ClassVar

from torch import Tensor, nn
from torch.nn import functional

from ulens.nets.layers import centre_crop, he_initialise
from ulens.nets.network import Network
from ulens.nets.shapes import Geometry


class _FullyConvolutional(Network):
    settings = ("width",)
    sizes: ClassVar[Geometry]
    score_fc7: nn.Conv2d

    @classmethod
    def geometry_of(cls, architecture: Mapping[str, Any]) -> Geometry:
        """Return valid sizes, alignment and margin."""
        return cls.sizes

    @property
    def last(self) -> nn.Conv2d:
        """The scores of the coarsest level."""
        return self.score_fc7


class FCN8s(_FullyConvolutional):
    """FCN-8s on the layers of VGG-16, from random initialisation.

    Parameters
    ----------
    in_channels : channels of the image
    num_classes : channels of the output
    width : channels of the first stage; the later ones and the two layers that were fully
        connected (fc6, fc7) keep VGG's proportions to it
    dropout : probability with which a value is zeroed in training, after fc6 and after fc7

    Notes
    -----
    ``forward`` maps (B, C, Y, X) float to logits (B, K, Y − 2·margin, X − 2·margin); the
    sizes it takes stand in `geometry`. Scores of fc7, pool4 and pool3 lie 32, 16 and 8 px
    apart. The coarser ones are up-sampled ×2, the finer ones cropped at the centre and
    added, and the sum of all three is up-sampled ×8.

    The published networks start from weights trained on ImageNet, pad the first convolution
    by 100 px and crop, and learn the ×2 up-sampling. This one starts from N(0, √(2/N)),
    N = incoming nodes of a unit, biases 0; nothing is padded; up-sampling is bilinear
    interpolation between the centres of the scores, and what lies outside them is no output.

    Geometry: a score of fc7, pool4, pool3 sees 404, 100, 44 px; on an axis of 404 + 32j
    pixels their centres lie at 201.5 + 32a, 49.5 + 16b, 21.5 + 8c px (a ≤ j). Each
    up-sampling lands on the next finer grid: fc7 gives 209.5 … 193.5 + 32j, 16 px apart, the
    sum with pool4 213.5 … 189.5 + 32j, 8 px apart, the sum with pool3 the pixels
    214 … 189 + 32j: a margin of 214, and an output from j = 1 on.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic
    Segmentation", CVPR 2015; VGG-16: Simonyan and Zisserman, arXiv 1409.1556.

    Examples
    --------
    >>> import torch
    >>> net = FCN8s(width=1)
    >>> net(torch.zeros(1, 1, 436, 468)).shape
    torch.Size([1, 2, 8, 40])
    """

    words = "FCN-8s"
    sizes = Geometry(base=436, alignment=32, margin=214)

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        *,
        width: int = 64,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(in_channels, num_classes, width)
        self.to_pool3 = nn.Sequential(
            *_vgg_stage(in_channels, width, width),
            *_vgg_stage(width, 2 * width, 2 * width),
            *_vgg_stage(2 * width, 4 * width, 4 * width, 4 * width),
        )
        self.to_pool4 = _vgg_stage(4 * width, 8 * width, 8 * width, 8 * width)
        self.to_fc7 = nn.Sequential(
            *_vgg_stage(8 * width, 8 * width, 8 * width, 8 * width),
            *_fully_connected(8 * width, 64 * width, kernel=7, dropout=dropout),
        )
        self.score_pool3 = nn.Conv2d(4 * width, num_classes, 1)
        self.score_pool4 = nn.Conv2d(8 * width, num_classes, 1)
        self.score_fc7 = nn.Conv2d(64 * width, num_classes, 1)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        self.geometry.check(x.shape[-2], x.shape[-1], "FCN8s")
        pool3 = self.to_pool3(x)
        pool4 = self.to_pool4(pool3)
        scores = _between_centres(self.score_fc7(self.to_fc7(pool4)), 2)
        scores = scores + centre_crop(self.score_pool4(pool4), scores.shape[-2:])
        scores = _between_centres(scores, 2)
        scores = scores + centre_crop(self.score_pool3(pool3), scores.shape[-2:])
        return _between_centres(scores, 8)


class FCNAlexNet(_FullyConvolutional):
    """FCN-AlexNet: the eight layers of Krizhevsky et al. made convolutional.

    Parameters
    ----------
    in_channels : channels of the image
    num_classes : channels of the output
    width : channels of the first convolution; the later ones and the two layers that were
        fully connected (fc6, fc7) keep the published proportions to it, rounded
    dropout : probability with which a value is zeroed in training, after fc6 and after fc7

    Notes
    -----
    ``forward`` maps (B, C, Y, X) float to logits (B, K, Y − 2·margin, X − 2·margin); the
    sizes it takes stand in `geometry`.

    The published network starts from weights trained on ImageNet, pads, splits its
    convolutions into two groups (two graphics cards) and normalises across channels. This
    one starts from N(0, √(2/N)), N = incoming nodes of a unit, biases 0, and does none of
    these; the ×32 up-sampling is bilinear interpolation between the centres of the scores,
    and what lies outside them is no output.

    Geometry: a score sees 355 px and lies on the pixel at their centre; on an axis of
    355 + 32j pixels the scores lie at 177 + 32a px, a ≤ j: a margin of 177.

    Source: Long, Shelhamer and Darrell, "Fully Convolutional Networks for Semantic
    Segmentation", CVPR 2015; Krizhevsky, Sutskever and Hinton, "ImageNet Classification
    with Deep Convolutional Neural Networks", NIPS 2012.

    Examples
    --------
    >>> import torch
    >>> net = FCNAlexNet(width=3)
    >>> net(torch.zeros(1, 1, 355, 387)).shape
    torch.Size([1, 2, 1, 33])
    """

    words = "FCN-AlexNet"
    sizes = Geometry(base=355, alignment=32, margin=177)

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 2,
        *,
        width: int = 96,
        dropout: float = 0.5,
    ) -> None:
        super().__init__(in_channels, num_classes, width)
        narrow, wide, full = (round(width * channels / 96) for channels in (256, 384, 4096))
        self.to_fc7 = nn.Sequential(
            *_convolution(in_channels, width, 11, stride=4),
            nn.MaxPool2d(3, stride=2),
            *_convolution(width, narrow, 5),
            nn.MaxPool2d(3, stride=2),
            *_convolution(narrow, wide, 3),
            *_convolution(wide, wide, 3),
            *_convolution(wide, narrow, 3),
            nn.MaxPool2d(3, stride=2),
            *_fully_connected(narrow, full, kernel=6, dropout=dropout),
        )
        self.score_fc7 = nn.Conv2d(full, num_classes, 1)
        he_initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        self.geometry.check(x.shape[-2], x.shape[-1], "FCNAlexNet")
        size = [self.geometry.output_size(length) for length in x.shape[-2:]]
        scores = self.score_fc7(self.to_fc7(x))
        # the outermost scores lie on the outermost pixels of the output
        return functional.interpolate(scores, size=size, mode="bilinear", align_corners=True)


def _convolution(
    in_channels: int, out_channels: int, kernel: int, *, stride: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel, stride=stride), nn.ReLU(inplace=True)
    )


def _vgg_stage(*channels: int) -> nn.Sequential:
    """3×3 convolutions from each of `channels` to the next, then a 2×2 max-pooling."""
    convolutions = (_convolution(before, after, 3) for before, after in pairwise(channels))
    return nn.Sequential(*convolutions, nn.MaxPool2d(2))


def _fully_connected(channels: int, full: int, *, kernel: int, dropout: float) -> nn.Sequential:
    """fc6 and fc7 as convolutions: fc6 sees kernel × kernel positions, fc7 one."""
    return nn.Sequential(
        *_convolution(channels, full, kernel),
        nn.Dropout(dropout),
        *_convolution(full, full, 1),
        nn.Dropout(dropout),
    )


def _between_centres(scores: Tensor, factor: int) -> Tensor:
    """Up-sample (B, K, Y, X) scores to (B, K, factor·(Y − 1), factor·(X − 1)), bilinearly.

    `factor` is even. Each score stands for a square whose centre lies between its four middle
    samples; the samples beyond the outermost centres would be extrapolated and are cut off.
    """
    x = functional.interpolate(scores, scale_factor=factor, mode="bilinear", align_corners=False)
    return functional.pad(x, (-(factor // 2),) * 4)
