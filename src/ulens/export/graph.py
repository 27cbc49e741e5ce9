"""A trained model as one graph: from grey values to maps, for images of any size.

What `ulens segment` does before and after the network is part of it: normalisation, the network's
pixel size, mirroring at the borders. Only what makes objects of the maps is left to others.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ulens.nets.network import Network
from ulens.nets.shapes import Geometry

_FRACTION = 2**40  # of a pixel, in which sizes are computed as integers, exactly


class ImageGraph(nn.Module):
    """Maps (B, C, Y, X) grey values, float32, to (B, K, Y, X) maps in [0, 1].

    Parameters
    ----------
    net : the network
    zoom : (y, x) pixels that the network sees for each pixel of the image
    softmax : whether the maps are probabilities; otherwise outputs are limited to [0, 1]
    floor, is_absolute : of `Normalization`; no floor = images come normalised

    Notes
    -----
    Computes what `Predictor.predict` computes of a normalised image, in one tile. All sizes are
    read from the input, so that the graph stays one for all of them.
    """

    def __init__(
        self, net: Network, *, zoom: Sequence[float], softmax: bool, floor: Sequence[float] = (),
        is_absolute: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self.net, self.zoom, self.softmax = net, tuple(zoom), softmax
        self.floor, self.is_absolute = tuple(floor), is_absolute

    def forward(self, image: Tensor) -> Tensor:
        """Return the maps of a batch of images of one size."""
        sizes = image.shape[2:]
        shown = _normalize(image, self.floor, self.is_absolute) if self.floor else image
        for axis, zoom in enumerate(self.zoom):
            shown = _resample(shown, axis + 2, zoom, _size_at(sizes[axis], zoom))
        needed = shown.shape[2:]
        maps = self.net(_mirror(_mirror(shown, 2, self.net.geometry), 3, self.net.geometry))
        maps = maps[:, :, : needed[0], : needed[1]]
        maps = torch.softmax(maps, 1) if self.softmax else maps.clamp(0, 1)
        for axis, zoom in enumerate(self.zoom):
            maps = _resample(maps, axis + 2, 1 / zoom, sizes[axis])
        return maps


def _normalize(image: Tensor, floor: Sequence[float], is_absolute: bool) -> Tensor:
    """Return `Normalization.apply` of a batch of images, in float32."""
    # in two steps: the sum of large grey values alone loses the digits of small differences
    image = image - image.mean((2, 3), keepdim=True)
    image = image - image.mean((2, 3), keepdim=True)
    std = image.square().mean((2, 3), keepdim=True).sqrt()
    steps = (image[:, :, :, 1:] - image[:, :, :, :-1]).abs().sum((2, 3), keepdim=True)
    num_steps = image.shape[2] * (image.shape[3] - 1)
    roughness = steps / _at_least(num_steps, 1) * (math.sqrt(math.pi) / 2)
    least = torch.tensor(floor).view(1, -1, 1, 1) * (1 if is_absolute else roughness)
    divisor = torch.maximum(std, least)
    is_constant = (steps == 0) & (std < 1e-6)
    return torch.where(is_constant, 0.0, image / torch.where(divisor > 0, divisor, 1.0))


def _at_least(number: int, least: int) -> int:
    """Return the larger one; unlike `max`, this is kept in the graph."""
    return torch.clamp(torch.as_tensor(number), min=least)  # type: ignore[return-value]


def _size_at(size: int, zoom: float) -> int:
    """Return `resample.size_at` along one axis."""
    if zoom == 1:
        return size
    scaled = size * round(zoom * _FRACTION) + _FRACTION - 1 - round(1e-6 * _FRACTION)
    return _at_least(scaled // _FRACTION, 1)


def _resample(image: Tensor, axis: int, zoom: float, size: int) -> Tensor:
    """Return `resample.resample` along one axis: a product with the matrix of its weights."""
    if zoom == 1:
        return image
    length = image.shape[axis]
    position = torch.arange(size, dtype=torch.float64, device=image.device)
    pixels = torch.arange(length, dtype=torch.float64, device=image.device)
    centre = ((position + 0.5) / zoom - 0.5)[:, None]
    weights = (1 - (pixels - centre).abs() / max(1.0, 1 / zoom)).clamp(min=0)
    # beyond the last pixel that reaches there, the edge goes on
    edge = (pixels == torch.minimum(centre.clamp(min=0).round(), pixels[-1])).double()
    weights = torch.where(weights.sum(1, keepdim=True) > 0, weights, edge)
    matrix = (weights / weights.sum(1, keepdim=True)).float()
    return matrix @ image if axis == 2 else image @ matrix.T


def _mirror(image: Tensor, axis: int, geometry: Geometry) -> Tensor:
    """Return an image with mirrored margins, in the next size that the network takes."""
    length = image.shape[axis]
    beyond = length - (geometry.base - 2 * geometry.margin) + geometry.alignment - 1
    num_steps = _at_least(beyond // geometry.alignment, 0)
    stop = geometry.base + num_steps * geometry.alignment - geometry.margin
    period = _at_least(2 * (length - 1), 1)
    position = torch.arange(-geometry.margin, stop, device=image.device) % period
    return image.index_select(
        axis, torch.minimum(position, period - position).clamp(max=length - 1)
    )
