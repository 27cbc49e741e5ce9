"""Random geometry: shift, rotation, scale, mirroring and elastic deformation.

A draw is a handful of numbers; from it one sampling grid is computed and applied alike to
the image, the labels and the weights.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ulens.errors import SettingError

GRID_NODES = 3
"""Nodes of the coarse displacement grid along each axis (paper, section 3.1)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class GeometrySettings:
    """How far the geometry of a tile may vary.

    Parameters
    ----------
    elastic_sd_px : standard deviation of the displacement of each grid node, pixels
    rotation_deg : angles are drawn from −rotation_deg to +rotation_deg
    scale : smallest and largest magnification, drawn evenly on a log scale
    mirror : whether half of the tiles are mirrored
    beyond_edges : whether tiles may reach beyond the image, so that the pixels at its edges are
        seen as often as all others
    """

    elastic_sd_px: float = 10.0
    rotation_deg: float = 180.0
    scale: tuple[float, float] = (1.0, 1.0)
    mirror: bool = True
    beyond_edges: bool = False

    def __post_init__(self) -> None:
        if not (0 <= self.elastic_sd_px <= 1000 and 0 <= self.rotation_deg <= 360):
            raise SettingError(
                f"elastic_sd_px is {self.elastic_sd_px}, rotation_deg {self.rotation_deg}; "
                "need 0 to 1000 pixels and 0 to 360 degrees"
            )
        if not 1 / 64 <= self.scale[0] <= self.scale[1] <= 64:
            raise SettingError(
                f"scale is {tuple(self.scale)}; need 1/64 <= smallest <= largest <= 64"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class GeometryDraw:
    """One drawn geometry, enough to replay it.

    Parameters
    ----------
    centre : (y, x) of the tile's centre in the image, pixels
    angle_rad : rotation
    scale : magnification
    mirror : whether the tile is mirrored along x
    displacement_px : nested lists (2, 3, 3), (y, x) displacement of each grid node in pixels
    """

    centre: tuple[float, float]
    angle_rad: float
    scale: float
    mirror: bool
    displacement_px: list[list[list[float]]]


def draw_geometry(
    settings: GeometrySettings,
    image_size: tuple[int, int],
    output_size: tuple[int, int],
    generator: torch.Generator,
) -> GeometryDraw:
    """Draw a tile's position and deformation.

    A small output window lies anywhere inside the image. One of more than two thirds of the image
    is shifted from its middle by up to a quarter of the smaller of the two, also beyond the edge.

    With `beyond_edges` its middle lies anywhere in the image, and what reaches beyond is mirrored.
    So each pixel is seen as often as any other, directly or in the mirror: what the mirror adds
    near the edge is what direct looks lack there. Only the outermost line, which mirroring does
    not repeat, is seen half as often.
    """
    uniform = torch.rand(5, generator=generator, dtype=torch.float64).tolist()
    nodes = torch.randn(2, GRID_NODES, GRID_NODES, generator=generator, dtype=torch.float64)
    low, high = (math.log(value) for value in settings.scale)
    y, x = (
        drawn * length - 0.5 if settings.beyond_edges else _position(drawn, length, output)
        for drawn, length, output in zip(uniform[:2], image_size, output_size, strict=True)
    )
    return GeometryDraw(
        centre=(y, x),
        angle_rad=math.radians(settings.rotation_deg) * (2 * uniform[2] - 1),
        scale=math.exp(low + (high - low) * uniform[3]),
        mirror=settings.mirror and uniform[4] < 0.5,
        displacement_px=(nodes * settings.elastic_sd_px).tolist(),
    )


def _position(uniform: float, image_size: int, output_size: int) -> float:
    middle = (image_size - 1) / 2
    reach = max((image_size - output_size) / 2, min(image_size, output_size) / 4)
    return middle + reach * (2 * uniform - 1)


def elastic_displacement(displacement_px: Tensor, size: tuple[int, int]) -> Tensor:
    """Interpolate node displacements bicubically to every pixel of a tile.

    Parameters
    ----------
    displacement_px : (2, N, N) float, (y, x) displacement of each node; the outer nodes lie
        on the tile's corners
    size : (Y, X) of the tile

    Returns
    -------
    (2, Y, X) float displacement in pixels

    Notes
    -----
    Source: paper, section 3.1 (3×3 nodes, Gaussian of 10 px, bicubic interpolation).
    """
    return functional.interpolate(
        displacement_px[None], size=size, mode="bicubic", align_corners=True
    )[0]


def sampling_points(draw: GeometryDraw, size: tuple[int, int], device: torch.device) -> Tensor:
    """Return the image position each pixel of a tile is read from.

    Parameters
    ----------
    size : (Y, X) of the tile

    Returns
    -------
    (2, Y, X) float32, (y, x) in image pixels
    """
    y, x = (torch.arange(length, device=device) - (length - 1) / 2 for length in size)
    by_y, by_x = elastic_displacement(torch.tensor(draw.displacement_px, device=device), size)
    y, x = y[:, None] + by_y, x + by_x
    x = -x if draw.mirror else x
    cos, sin = math.cos(draw.angle_rad) / draw.scale, math.sin(draw.angle_rad) / draw.scale
    return torch.stack([draw.centre[0] + cos * y - sin * x, draw.centre[1] + sin * y + cos * x])


def sample(array: Tensor, points: Tensor, *, nearest: bool) -> Tensor:
    """Read a (C, Y, X) array at points, mirroring it beyond its edges.

    Parameters
    ----------
    array : (C, Y, X) of any dtype; whole numbers up to 2²⁴ survive with `nearest`
    points : (2, y, x) float32, (y, x) in pixels
    nearest : nearest neighbour (labels) instead of bilinear (images, weights)

    Returns
    -------
    (C, y, x) float32
    """
    array = array.float()
    size = torch.tensor(array.shape[-2:], device=array.device)
    scaled = 2 * points / (size - 1).clamp(min=1)[:, None, None] - 1
    return functional.grid_sample(
        array[None],
        scaled.flip(0).permute(1, 2, 0)[None],
        mode="nearest" if nearest else "bilinear",
        padding_mode="reflection",
        align_corners=True,
    )[0]


def part_to_read(size: tuple[int, int], points: Tensor) -> tuple[tuple[slice, slice], Tensor]:
    """Return the part of an array that points lie in, and the points counted from its corner.

    Of a large image, or one that lies in a file, only that part need be touched. Points beyond an
    edge are mirrored into the array. On another device than the CPU the part is the whole: to look
    at the points would make it wait.

    Parameters
    ----------
    size : (Y, X) of the array
    points : (2, y, x) float32, (y, x) in pixels
    """
    if points.device.type != "cpu":
        return (slice(None), slice(None)), points
    slices, inside = [], []
    for axis, length in enumerate(size):
        period = max(2 * (length - 1), 1)
        place = points[axis].abs() % period
        place = torch.minimum(place, period - place).clamp(max=length - 1)
        low, high = math.floor(place.min()), math.ceil(place.max())
        slices.append(slice(low, high + 1))
        inside.append(place - low)
    return (slices[0], slices[1]), torch.stack(inside)
