"""Images and maps on a finer or a coarser grid.

A network has a pixel size of its own. Its pixel number i lies at (i + ½) / zoom − ½ of the whole
image, so that a part of an image gives the part of the result, wherever it is cut.
"""

import math
from typing import Literal

import numpy as np

from ulens.errors import SettingError

Zoom = tuple[float, float]
"""(y, x) pixels of the new grid for each pixel of the old one."""

AS_IT_IS: Zoom = (1.0, 1.0)
Slices = tuple[slice, slice]
Kernel = Literal["triangle", "box"]


def check_zoom(zoom: Zoom, smallest: float = 1 / 64, largest: float = 64.0) -> None:
    """Raise SettingError unless both factors are numbers within limits."""
    if not all(smallest <= each <= largest for each in zoom):
        raise SettingError(
            f"zoom is {zoom[0]:g}×{zoom[1]:g} network pixels per image pixel; it takes "
            f"{smallest:g} to {largest:g}"
        )


def inverse(zoom: Zoom) -> Zoom:
    """Return the zoom that leads back."""
    return 1 / zoom[0], 1 / zoom[1]


def size_at(size: tuple[int, ...], zoom: Zoom) -> tuple[int, int]:
    """Return the (y, x) size of the grid that covers an image of `size`, at least a pixel.

    Examples
    --------
    >>> size_at((512, 5), (0.5, 0.5))
    (256, 3)
    """
    y, x = (max(1, math.ceil(side * by - 1e-6)) for side, by in zip(size, zoom, strict=True))
    return y, x


def window_needed(window: Slices, size: tuple[int, ...], zoom: Zoom) -> Slices:
    """Return the pixels of an image of `size` that a window of the new grid is made of.

    Parameters
    ----------
    window : (y, x) slices of the new grid, within it
    """
    rows, columns = (
        _needed(side, length, by) for side, length, by in zip(window, size, zoom, strict=True)
    )
    return rows, columns


def resample(
    image: np.ndarray,
    zoom: Zoom,
    size: tuple[int, ...] | None = None,
    *,
    window: Slices | None = None,
    whole: tuple[int, ...] | None = None,
    kernel: Kernel = "triangle",
) -> np.ndarray:
    """Return an image on another grid: linear between pixels, means over them where it shrinks.

    Parameters
    ----------
    image : (C, Y, X), any real numeric dtype
    zoom : pixels of the new grid for each of the old one
    size : (y, x) of the new grid; None = as large as covers the image
    window : (y, x) slices of the new grid that are asked for; None = all
    whole : with `window`, the (Y, X) size of the image that `image` holds the part
        `window_needed` of; None = `image` is the whole
    kernel : "box" takes the mean over the area of each new pixel and nothing else, so that of a
        mask it is the share that the mask covers

    Returns
    -------
    (C, y, x) float32, or float64 where the dtype holds more digits; a view of `image` where nothing
    changes

    Notes
    -----
    Weights of the triangle fall linearly with the distance, to 0 at one pixel of the coarser of
    the two grids; this is PIL's and PyTorch's antialiased bilinear filter. Pixels beyond the edge
    do not count.

    Examples
    --------
    >>> resample(np.array([[[0, 2, 4, 6]]], np.uint8), (1, 0.5)).round(2)
    array([[[1.43, 4.57]]], dtype=float32)
    """
    size = size or size_at(whole or image.shape[1:], zoom)
    window = window or (slice(0, size[0]), slice(0, size[1]))
    starts = (0, 0)
    if whole is not None:
        rows, columns = window_needed(window, whole, zoom)
        starts = rows.start, columns.start
    whole = whole or image.shape[1:]
    if zoom == AS_IT_IS and size == image.shape[1:] and starts == (0, 0):
        return image[:, *window]
    # float64 keeps the small differences of large values, as `Normalization` does
    result = image.astype(np.result_type(image.dtype, np.float32), copy=False)
    for axis in (0, 1):
        pixels, weights = _taps(window[axis], whole[axis], zoom[axis], kernel)
        result = _along(result, axis + 1, pixels - starts[axis], weights)
    return result


def _needed(window: slice, length: int, zoom: float) -> slice:
    if zoom == 1:
        return window
    reach = max(1.0, 1 / zoom)
    low = math.floor((window.start + 0.5) / zoom - 0.5 - reach)
    high = math.ceil((window.stop - 0.5) / zoom - 0.5 + reach) + 1
    # at least a pixel, also for what lies beyond the edge
    return slice(min(max(0, low), length - 1), max(min(length, high), 1))


def _taps(window: slice, length: int, zoom: float, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels (n, taps) that each pixel of the window is made of, and their weights."""
    if zoom == 1:
        return np.arange(window.start, window.stop)[:, None], np.ones(
            (window.stop - window.start, 1)
        )
    centre = (np.arange(window.start, window.stop) + 0.5) / zoom - 0.5
    reach = max(1.0, 1 / zoom)
    first = np.floor(centre - reach).astype(np.int64) + 1
    pixels = first[:, None] + np.arange(math.ceil(2 * reach))
    distance = np.abs(pixels - centre[:, None])
    if kernel == "box":
        half, shorter = 0.5 / zoom + 0.5, min(1.0, 1 / zoom)
        weights = (half - distance).clip(0, shorter)  # what the two pixels share
    else:
        weights = np.maximum(0, 1 - distance / reach)
    weights *= (pixels >= 0) & (pixels < length)
    pixels = pixels.clip(0, length - 1)
    # beyond the last pixel that reaches there, the edge goes on
    lost = weights.sum(1) <= 0
    weights[lost, 0], pixels[lost, 0] = 1, centre[lost].clip(0, length - 1).round()
    return pixels, weights / weights.sum(1, keepdims=True)


def _along(array: np.ndarray, axis: int, pixels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    shape = [1] * array.ndim
    shape[axis] = len(pixels)
    total = np.zeros([*array.shape[:axis], len(pixels), *array.shape[axis + 1 :]], array.dtype)
    for tap in range(pixels.shape[1]):
        weight = weights[:, tap].astype(array.dtype).reshape(shape)
        total += weight * array.take(pixels[:, tap], axis)
    return total
