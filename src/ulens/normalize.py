"""Intensity normalisation whose numbers travel with the model."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ulens.channels import check_channels
from ulens.errors import DataError

FLOOR_FRACTION = 0.25
_STEP_OF_NOISE = 2 / math.sqrt(math.pi)
"""Mean absolute difference of two draws of a normal distribution of deviation 1."""
_ROWS = 512


class Statistics(NamedTuple):
    """What an image is like, in grey values, one number per channel.

    Parameters
    ----------
    mean, std : mean and standard deviation; the latter is 0 of a constant image alone
    roughness : standard deviation of the white noise whose neighbouring pixels, left and right,
        would differ as much
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    roughness: tuple[float, ...]


class Moments(NamedTuple):
    """What the statistics of an image are made of; those of its parts can be joined.

    Parameters
    ----------
    num_pixels, num_steps : how many pixels there are, and pairs of neighbours in a row
    mean, squares : (C,) mean, and sum of the squared distances from it
    steps : (C,) sum of the absolute differences of neighbours

    Notes
    -----
    Chan, Golub and LeVeque 1979: the sums of two parts are joined without loss of digits.
    """

    num_pixels: int
    num_steps: int
    mean: np.ndarray
    squares: np.ndarray
    steps: np.ndarray

    def join(self, other: "Moments") -> "Moments":
        """Return the moments of two parts together."""
        total = self.num_pixels + other.num_pixels
        apart = other.mean - self.mean
        between = apart**2 * (self.num_pixels * other.num_pixels / total)
        return Moments(
            total,
            self.num_steps + other.num_steps,
            self.mean + apart * (other.num_pixels / total),
            self.squares + other.squares + between,
            self.steps + other.steps,
        )

    def statistics(self) -> Statistics:
        """Return the statistics of the pixels."""
        std = np.sqrt(self.squares / self.num_pixels)
        roughness = self.steps / max(1, self.num_steps) / _STEP_OF_NOISE
        return Statistics(*(tuple(map(float, each)) for each in (self.mean, std, roughness)))

    def to_rows(self) -> np.ndarray:
        """Return them as (5, C) float64, which `from_rows` takes back."""
        counts = np.ones_like(self.mean)
        rows = self.num_pixels * counts, self.num_steps * counts
        return np.array([*rows, self.mean, self.squares, self.steps])

    @classmethod
    def from_rows(cls, rows: np.ndarray) -> "Moments":
        """Return what `to_rows` gave."""
        return cls(int(rows[0, 0]), int(rows[1, 0]), *rows[2:])


def measure_moments(image: np.ndarray) -> Moments:
    """Return the moments of (C, Y, X) pixels, of a whole image or a part.

    Raises
    ------
    DataError : pixels are NaN or infinite
    """
    found = [_channel_moments(image, index) for index in range(len(image))]
    mean, squares, steps = np.array(found).T
    num_rows, num_columns = image.shape[1:]
    return Moments(image[0].size, num_rows * (num_columns - 1), mean, squares, steps)


def _channel_moments(image: np.ndarray, channel: int) -> tuple[float, float, float]:
    pixels = image[channel]
    with np.errstate(invalid="ignore", over="ignore"):
        mean, variance = float(pixels.mean(dtype=np.float64)), float(pixels.var(dtype=np.float64))
        if not np.isfinite(variance):
            num_bad = int(np.count_nonzero(~np.isfinite(pixels)))
            raise DataError(
                f"channel {channel} of the image holds {num_bad} pixels that are NaN or infinite; "
                "replace them by real grey values"
            )
    steps = 0.0
    for start in range(0, len(pixels), _ROWS):
        rows = pixels[start : start + _ROWS]
        steps += float(np.abs(np.subtract(rows[:, 1:], rows[:, :-1], dtype=np.float64)).sum())
    if steps == 0 and (pixels == pixels[0, 0]).all():
        return float(pixels[0, 0]), 0.0, 0.0  # exactly, whatever the rounding of a mean
    return mean, variance * pixels.size, steps


def measure_statistics(image: np.ndarray) -> Statistics:
    """Return the statistics of a whole (C, Y, X) image.

    Raises
    ------
    DataError : pixels are NaN or infinite
    """
    return measure_moments(image).statistics()


@dataclass(frozen=True, slots=True)
class Normalization:
    """Zero mean and unit standard deviation, per image and channel.

    The statistics are those of the whole image, never of a tile: a network's output
    must not depend on how an image was cut. Brightness and contrast do not matter:
    ``a * image + b`` gives what `image` gives.

    Parameters
    ----------
    floor : one number per channel, 0 or more. Images whose standard deviation is a smaller
        multiple of their own roughness than this are divided by that multiple instead, so that
        the noise of an empty image is not blown up to the contrast of a full one
    is_absolute : whether `floor` is a standard deviation in grey values, as in models made before
        December 2026
    """

    floor: tuple[float, ...]
    is_absolute: bool = False

    def apply(self, image: np.ndarray, statistics: Statistics | None = None) -> np.ndarray:
        """Return ``(image − mean) / std``, with the floor of the standard deviation.

        Parameters
        ----------
        image : (C, Y, X), any real numeric dtype and range
        statistics : of the whole image, where `image` is a part of one

        Returns
        -------
        (C, Y, X) float32; 0 throughout of a constant image

        Raises
        ------
        ShapeError : `image` is not (C, Y, X), is empty or has another number of channels
        DataError : pixels are NaN or infinite

        Examples
        --------
        >>> Normalization((0.0,)).apply(np.array([[[0, 4], [4, 8]]], np.uint8))
        array([[[-1.4142135,  0.       ],
                [ 0.       ,  1.4142135]]], dtype=float32)
        """
        check_channels(image.shape, len(self.floor))
        normalized = np.empty(image.shape, np.float32)
        found = measure_statistics(image) if statistics is None else statistics
        for index, (floor, mean, std, roughness) in enumerate(zip(self.floor, *found, strict=True)):
            least = floor if self.is_absolute else floor * roughness
            # float64: 16-bit and large float values keep their small differences
            np.divide(
                image[index] - np.float64(mean),
                max(std, least) or 1.0,
                out=normalized[index],
                casting="same_kind",
            )
        return normalized

    def to_json(self) -> dict[str, Any]:
        """Return a dict that `from_json` takes back."""
        return {"std_floor" if self.is_absolute else "contrast_floor": list(self.floor)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Normalization":
        """Return the normalisation that `to_json` wrote."""
        is_absolute = "std_floor" in values
        floors = values["std_floor" if is_absolute else "contrast_floor"]
        return cls(tuple(float(floor) for floor in floors), is_absolute)


def fit_normalization(images: Iterable[np.ndarray]) -> Normalization:
    """Fit the floor of the standard deviation to training images.

    Parameters
    ----------
    images : (C, Y, X) arrays of any real numeric dtype, all with the same C; at least one

    Returns
    -------
    a normalisation whose floor is a quarter of the images' median contrast, per channel: of their
    standard deviation as a multiple of their roughness. Images without any roughness do not count

    Raises
    ------
    ShapeError, DataError : as `Normalization.apply`; also when there is no image
    """
    contrasts: list[list[float]] = []
    for image in images:
        check_channels(image.shape, len(contrasts) or len(image))
        contrasts = contrasts or [[] for _ in image]
        _, stds, roughnesses = measure_statistics(image)
        for seen, std, roughness in zip(contrasts, stds, roughnesses, strict=True):
            if roughness > 0:
                seen.append(std / roughness)
    if not contrasts:
        raise DataError("there are no images to fit the normalisation to; give at least one")
    return Normalization(
        tuple(FLOOR_FRACTION * float(np.median(seen)) if seen else 0.0 for seen in contrasts)
    )
