"""Intensity normalisation whose numbers travel with the model."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ulens.channels import check_channels
from ulens.errors import DataError

FLOOR_FRACTION = 0.25


class Statistics(NamedTuple):
    """Mean and standard deviation of an image, in grey values, one number per channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class Moments:
    """The statistics of an image whose parts come one after the other.

    Notes
    -----
    Chan, Golub and LeVeque 1979: the sums of two parts are joined without loss of digits.
    """

    def __init__(self) -> None:
        self._count = 0
        self._mean = self._squares = np.zeros(1)

    def join(self, count: int, mean: np.ndarray, squares: np.ndarray) -> None:
        """Add a part by what `measure_moments` returns of it."""
        total = self._count + count
        step = mean - self._mean
        self._squares = self._squares + squares + step**2 * (self._count * count / total)
        self._mean = self._mean + step * (count / total)
        self._count = total

    def statistics(self) -> Statistics:
        """Return the statistics of all parts together."""
        std = np.sqrt(self._squares / max(1, self._count))
        return Statistics(tuple(map(float, self._mean)), tuple(map(float, std)))


def measure_moments(part: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Return the number of pixels, and their (C,) mean and sum of squared distances from it.

    Parameters
    ----------
    part : (C, y, x) pixels

    Raises
    ------
    DataError : pixels are NaN or infinite
    """
    with np.errstate(invalid="ignore"):
        mean = part.mean(axis=(1, 2), dtype=np.float64)
        squares = part.var(axis=(1, 2), dtype=np.float64) * part[0].size
    if not np.isfinite(squares).all():
        channel = int(np.argmin(np.isfinite(squares)))
        raise DataError(
            f"channel {channel} of the image holds pixels that are NaN or infinite; replace "
            "them by real grey values"
        )
    return part[0].size, mean, squares


@dataclass(frozen=True, slots=True)
class Normalization:
    """Zero mean and unit standard deviation, per image and channel.

    The statistics are those of the whole image, never of a tile: a network's output
    must not depend on how an image was cut.

    Parameters
    ----------
    std_floor : one number per channel in grey values, > 0; channels that vary less are
        divided by it instead, so that the noise of an empty image is not blown up to
        the contrast of a full one
    """

    std_floor: tuple[float, ...]

    def apply(self, image: np.ndarray, statistics: Statistics | None = None) -> np.ndarray:
        """Return ``(image − mean) / max(std, std_floor)``.

        Parameters
        ----------
        image : (C, Y, X), any real numeric dtype and range
        statistics : of the whole image, where `image` is a part of one

        Returns
        -------
        (C, Y, X) float32

        Raises
        ------
        ShapeError : `image` is not (C, Y, X), is empty or has another number of channels
        DataError : pixels are NaN or infinite

        Examples
        --------
        >>> Normalization((1.0,)).apply(np.array([[[0, 4], [4, 8]]], np.uint8))
        array([[[-1.4142135,  0.       ],
                [ 0.       ,  1.4142135]]], dtype=float32)
        """
        check_channels(image.shape, len(self.std_floor))
        normalized = np.empty(image.shape, np.float32)
        means, stds = measure_statistics(image) if statistics is None else statistics
        for index, (floor, mean, std) in enumerate(zip(self.std_floor, means, stds, strict=True)):
            # float64: 16-bit and large float values keep their small differences
            np.divide(
                image[index] - np.float64(mean),
                max(std, floor),
                out=normalized[index],
                casting="same_kind",
            )
        return normalized

    def to_json(self) -> dict[str, Any]:
        """Return a dict that `from_json` takes back."""
        return {"std_floor": list(self.std_floor)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Normalization":
        """Return the normalisation that `to_json` wrote."""
        return cls(tuple(float(floor) for floor in values["std_floor"]))


def fit_normalization(images: Iterable[np.ndarray]) -> Normalization:
    """Fit the floor of the standard deviation to training images.

    Parameters
    ----------
    images : (C, Y, X) arrays of any real numeric dtype, all with the same C; at least one

    Returns
    -------
    a normalisation whose floor is a quarter of the images' median standard deviation,
    per channel; 1 grey value for a channel that is constant in most of the images

    Raises
    ------
    ShapeError, DataError : as `Normalization.apply`; also when there is no image
    """
    rows: list[list[float]] = []
    for image in images:
        check_channels(image.shape, len(rows[0]) if rows else len(image))
        rows.append(list(measure_statistics(image).std))
    if not rows:
        raise DataError("there are no images to fit the normalisation to; give at least one")
    medians = np.median(np.array(rows), axis=0)
    return Normalization(tuple(FLOOR_FRACTION * float(m) if m > 0 else 1.0 for m in medians))


def measure_statistics(image: np.ndarray) -> Statistics:
    """Return the statistics of a whole (C, Y, X) image.

    Raises
    ------
    DataError : pixels are NaN or infinite
    """
    means, stds = zip(*(_statistics(image, index) for index in range(len(image))), strict=True)
    return Statistics(means, stds)


def _statistics(image: np.ndarray, channel: int) -> tuple[float, float]:
    pixels = image[channel]
    with np.errstate(invalid="ignore"):
        mean, std = float(pixels.mean(dtype=np.float64)), float(pixels.std(dtype=np.float64))
    if not np.isfinite(std):
        num_bad = int(np.count_nonzero(~np.isfinite(pixels)))
        raise DataError(
            f"channel {channel} of the image holds {num_bad} pixels that are NaN or infinite; "
            "replace them by real grey values"
        )
    return mean, std
