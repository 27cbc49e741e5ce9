"""What images look like, in a few numbers, and between which of these the training images lay."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
NUM_BANDS = 6
FEW_IMAGES = 4
_MOST_PIXELS = 10**5
_LEAST_VARIANCE = 2.0**-16
_SPREAD = (0.02, 0.5, 0.98)

Range = tuple[float, float, float]
"""What 2 % of the training images lie below, their median, and what 2 % lie above."""


class Look(NamedTuple):
    """What one channel of a normalised image looks like, in 19 numbers.

    Parameters
    ----------
    percentiles : (7,) grey values that `PERCENTILES` of the pixels lie below
    energies : (6,) log2 of the variance of details 1, 2, 4 … 32 pixels large; noise is in the first
    skews : (6,) arsinh of the skewness of these; above 0 where they are bright on dark
    """

    percentiles: np.ndarray
    energies: np.ndarray
    skews: np.ndarray

    @classmethod
    def of(cls, numbers: np.ndarray) -> "Look":
        """Return (19, …) numbers by what they are."""
        return cls(*np.split(numbers, [len(PERCENTILES), len(PERCENTILES) + NUM_BANDS]))


def measure_look(image: np.ndarray) -> np.ndarray:
    """Return what a normalised image looks like.

    Parameters
    ----------
    image : (C, Y, X) float32, as the network takes it: normalised, and on its grid

    Returns
    -------
    (19, C) float64, the numbers of `Look` for each channel

    Notes
    -----
    Details are the differences of a pyramid's levels, each smoothed by a Gaussian of one pixel and
    then halved (Burt and Adelson 1983).
    """
    return np.stack([_measure_channel(channel) for channel in image], axis=1)


def _measure_channel(level: np.ndarray) -> np.ndarray:
    step = max(1, level.size // _MOST_PIXELS)
    percentiles = np.percentile(level.ravel()[::step], PERCENTILES)
    energies, skews = [], []
    for _ in range(NUM_BANDS):
        smooth = ndimage.gaussian_filter(level, 1.0, truncate=3.0)
        detail = level - smooth
        variance = max(float((detail**2).mean()), _LEAST_VARIANCE)
        energies.append(np.log2(variance))
        skews.append(np.arcsinh(float((detail**3).mean()) / variance**1.5))
        level = smooth[::2, ::2]
    return np.concatenate([percentiles, energies, skews]).astype(np.float64)


class Objects(NamedTuple):
    """What was found in an image, or annotated.

    Parameters
    ----------
    num : of objects
    diameter_px : of a circle of their median area, in pixels of the training images; 0 without any
    num_per_mpx : objects for each million such pixels
    is_uniform : whether all pixels have the same label
    """

    num: int
    diameter_px: float
    num_per_mpx: float
    is_uniform: bool


def measure_objects(labels: np.ndarray, area_factor: float = 1.0) -> Objects:
    """Return what objects there are in an image.

    Parameters
    ----------
    labels : (Y, X) integers; 0 = background, pixels below 0 are not annotated
    area_factor : pixels of the training images for each pixel of this one

    Examples
    --------
    >>> measure_objects(np.array([[1, 1, 0, -1], [1, 1, 0, 0]])).num
    1
    """
    annotated = labels[labels >= 0]
    counts = np.bincount(annotated) if annotated.size else np.zeros(1)
    return count_objects(counts[1:] * area_factor, annotated.size * area_factor)


def count_objects(areas: np.ndarray, num_px: float) -> Objects:
    """Return what objects there are.

    Parameters
    ----------
    areas : (N,) of each object, 0 where there is none of its number
    num_px : annotated pixels in all
    """
    areas = areas[areas > 0]
    return Objects(
        num=len(areas),
        diameter_px=float(np.sqrt(4 * np.median(areas) / np.pi)) if len(areas) else 0.0,
        num_per_mpx=len(areas) / max(1.0, num_px) * 1e6,
        is_uniform=len(areas) == 0 or bool(areas[0] >= num_px),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Channel:
    """Between which numbers a channel of the training images lay; of each number of `Look` one."""

    percentiles: tuple[Range, ...]
    energies: tuple[Range, ...]
    skews: tuple[Range, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Familiar:
    """What a model is familiar with: what its training images looked like.

    Parameters
    ----------
    num_images : that these numbers rest on
    channels : of the images
    diameter_px : of an image's typical object; 0 throughout where no image has instances
    num_per_mpx : objects for each million pixels
    num_uniform : images without any object, or of one class only
    """

    num_images: int
    channels: tuple[Channel, ...]
    diameter_px: Range
    num_per_mpx: Range
    num_uniform: int

    def look(self) -> np.ndarray:
        """Return (3, 19, C) lower limits, medians and upper limits of what `measure_look` gives."""
        each = [(*c.percentiles, *c.energies, *c.skews) for c in self.channels]
        return np.array(each).transpose(2, 1, 0)


def familiarize(images: Iterable[tuple[np.ndarray, np.ndarray]], *, is_instances: bool) -> Familiar:
    """Return what annotated images look like.

    Parameters
    ----------
    images : at least one (C, Y, X) float32 image as the network takes it, with its (Y, X) labels,
        which may be on another grid
    is_instances : whether labels are numbers of objects

    Notes
    -----
    Of fewer than `FEW_IMAGES` images the quarters count, too: they tell how much looks differ.
    """
    looks: list[np.ndarray] = []
    quarters: list[np.ndarray] = []
    objects: list[Objects] = []
    for image, labels in images:
        looks.append(measure_look(image))
        objects.append(measure_objects(labels))
        if len(looks) < FEW_IMAGES:
            quarters += [measure_look(part) for part in _quarter(image)]
    spread = looks if len(looks) >= FEW_IMAGES else looks + quarters
    low, middle, high = np.quantile(np.stack(spread), _SPREAD, axis=0)
    numbers = np.stack([low, middle, high], axis=-1)  # (19, C, 3)
    counted = [each for each in objects if each.num] if is_instances else []
    return Familiar(
        num_images=len(looks),
        channels=tuple(_channel(numbers[:, c]) for c in range(numbers.shape[1])),
        diameter_px=_range([each.diameter_px for each in counted]),
        num_per_mpx=_range([each.num_per_mpx for each in counted]),
        num_uniform=sum(each.is_uniform for each in objects),
    )


def _quarter(image: np.ndarray) -> list[np.ndarray]:
    """Return the quarters of an image that is large enough."""
    y, x = (side // 2 for side in image.shape[1:])
    if min(y, x) < 2**NUM_BANDS:
        return []
    return [
        image[:, rows, columns]
        for rows in (slice(y), slice(y, None))
        for columns in (slice(x), slice(x, None))
    ]


def _channel(numbers: np.ndarray) -> Channel:
    """Return (19, 3) limits by what they are."""
    parts = (
        tuple((float(a), float(b), float(c)) for a, b, c in part.round(4))
        for part in Look.of(numbers)
    )
    percentiles, energies, skews = parts
    return Channel(percentiles=percentiles, energies=energies, skews=skews)


def _range(values: list[float]) -> Range:
    low, middle, high = np.quantile(values or [0.0], _SPREAD).round(4)
    return float(low), float(middle), float(high)
