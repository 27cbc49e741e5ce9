"""One random tile: drawn from (seed, step, index) alone, applied, replayable."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ulens.augment.geometry import (
    GeometryDraw,
    GeometrySettings,
    draw_geometry,
    part_to_read,
    sample,
    sampling_points,
)
from ulens.augment.intensity import (
    IntensityDraw,
    IntensitySettings,
    apply_intensity,
    draw_intensity,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Draw:
    """Everything random about one training tile.

    Parameters
    ----------
    image_index : which annotated image the tile comes from
    """

    image_index: int
    geometry: GeometryDraw
    intensity: IntensityDraw


def draw_tile(
    geometry: GeometrySettings,
    intensity: IntensitySettings,
    *,
    image_sizes: list[tuple[int, int]],
    output_size: tuple[int, int],
    seed: int,
    visit: int,
) -> Draw:
    """Draw the tile number `visit` of a training; depends on nothing but the arguments.

    Images are visited in random order, each once per round.
    """
    stream = np.random.SeedSequence([seed, 0, visit]).generate_state(1, np.uint64)[0]
    generator = torch.Generator().manual_seed(int(stream >> np.uint64(1)))
    image_index = _image_of(len(image_sizes), seed, visit)
    return Draw(
        image_index=image_index,
        geometry=draw_geometry(geometry, image_sizes[image_index], output_size, generator),
        intensity=draw_intensity(intensity, generator),
    )


def _image_of(num_images: int, seed: int, visit: int) -> int:
    round_, place = divmod(visit, num_images)
    return int(np.random.default_rng([seed, 1, round_]).permutation(num_images)[place])


def apply(
    draw: Draw, image: Tensor, target: Tensor, weight: Tensor, input_size: int, output_size: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Cut and deform one tile out of an image, its target and its weights.

    Parameters
    ----------
    image : (C, Y, X) float32, normalised
    target : (Y, X) integer, read at the nearest pixel, or (K, Y, X) float32, interpolated
    weight : (Y, X) float32, 0 = ignored
    input_size, output_size : side of the network's input and output, pixels

    Returns
    -------
    tile : (C, input_size, input_size) float32
    target : (output_size, output_size) int64 or (K, output_size, output_size) float32, the centre
        of the same tile
    weight : (output_size, output_size) float32; 0 where an interpolated target has any part of an
        ignored pixel
    """
    points = sampling_points(draw.geometry, (input_size, input_size), image.device)
    margin = (input_size - output_size) // 2
    inner = points[:, margin : margin + output_size, margin : margin + output_size]
    size = image.shape[-2], image.shape[-1]
    part, points = part_to_read(size, points)
    tile = apply_intensity(draw.intensity, sample(image[..., *part], points, nearest=False))
    part, inner = part_to_read(size, inner)
    target, weight = target[..., *part], weight[..., *part]
    weights = sample(weight[None], inner, nearest=False)[0]
    if target.is_floating_point():
        counted = sample(weight[None] > 0, inner, nearest=False)[0]
        return tile, sample(target, inner, nearest=False), weights * (counted > 1 - 1e-5)
    return tile, sample(target[None], inner, nearest=True)[0].round().long(), weights
