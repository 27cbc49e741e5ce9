"""Where tiles lie: the overlap-tile strategy as pure geometry.

The tiles' output origins lie on a grid that starts at the image's origin and steps by
multiples of the network's alignment. Pooling makes every other offset a different
function; on this grid the tiled output is the whole image's output.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np

from ulens.errors import ShapeError
from ulens.nets.shapes import Geometry

Slices = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Tile:
    """One evaluation of the network; every pair of slices is (y, x), half-open, in pixels.

    Parameters
    ----------
    read : window of the mirrored image that the network sees; start and stop may lie
        outside the image, so they are positions for `mirror_indices`, not for indexing
    write : window of the image that this tile decides
    inner : the same window within the network's output
    """

    read: Slices
    write: Slices
    inner: Slices


def plan_tiles(shape: tuple[int, int], geometry: Geometry, max_input: int) -> list[Tile]:
    """Cover an image with tiles of one size.

    Parameters
    ----------
    shape : (Y, X) of the image in pixels
    geometry : sizes that the network takes
    max_input : largest tile along an axis, in input pixels. Where it is below the
        smallest size that can cover the image, that size is taken.

    Returns
    -------
    tiles in reading order, all with the same input size; their `write` windows cover
    every pixel exactly once

    Notes
    -----
    Per axis the size is the one that needs the fewest input pixels in all; the larger
    one wins a tie, having fewer tiles.

    Examples
    --------
    One tile for a slice of the ISBI stack, as in the paper's sizes 16k + 60:

    >>> from ulens.nets.shapes import unet_geometry
    >>> plan_tiles((512, 512), unet_geometry(4), 828)[0].read
    (slice(-92, 608, None), slice(-92, 608, None))
    """
    if min(shape) < 1:
        raise ShapeError(
            f"image is {shape[0]}×{shape[1]} pixels; need at least one pixel along each axis"
        )
    rows, columns = (_plan_axis(length, geometry, max_input) for length in shape)
    return [
        Tile(read=(y[0], x[0]), write=(y[1], x[1]), inner=(y[2], x[2]))
        for y, x in product(rows, columns)
    ]


def mirror_indices(start: int, stop: int, size: int) -> np.ndarray:
    """Return the pixels seen at positions `start` … `stop` of a mirrored axis.

    The edge pixel is not repeated, so the mirrored axis has the period ``2 * (size - 1)``
    and goes on for borders of any width; an axis of one pixel is replicated.

    Returns
    -------
    (stop − start,) int64 in [0, size)

    Examples
    --------
    >>> mirror_indices(-3, 6, 4)
    array([3, 2, 1, 0, 1, 2, 3, 2, 1])
    """
    period = max(2 * (size - 1), 1)
    position = np.arange(start, stop) % period
    return np.minimum(position, period - position) if size > 1 else position


def read_mirrored(image: np.ndarray, read: Slices) -> np.ndarray:
    """Return the window `read` of a mirrored (C, Y, X) image as a new array."""
    rows, columns = (
        mirror_indices(window.start, window.stop, size)
        for window, size in zip(read, image.shape[1:], strict=True)
    )
    return image[:, rows[:, None], columns]


def _plan_axis(length: int, geometry: Geometry, max_input: int) -> list[tuple[slice, slice, slice]]:
    size = _best_size(length, geometry, max_input)
    step = _step(geometry, size)
    num_tiles = _num_tiles(length, geometry, size)
    windows = []
    for index in range(num_tiles):
        origin = index * step
        # the last tile also decides the pixels beyond its step that its output still holds
        stop = origin + step if index + 1 < num_tiles else length
        read = slice(origin - geometry.margin, origin - geometry.margin + size)
        windows.append((read, slice(origin, stop), slice(0, stop - origin)))
    return windows


def _best_size(length: int, geometry: Geometry, max_input: int) -> int:
    # a single tile must hold the axis; several need an output of at least one step
    smallest = geometry.input_size(min(length, geometry.alignment))
    largest = min(max(max_input, smallest), geometry.input_size(length))
    sizes = range(smallest, largest + 1, geometry.alignment)
    return min(sizes, key=lambda size: (size * _num_tiles(length, geometry, size), -size))


def _num_tiles(length: int, geometry: Geometry, size: int) -> int:
    beyond_first = length - geometry.output_size(size)
    return 1 if beyond_first <= 0 else 1 + -(-beyond_first // _step(geometry, size))


def _step(geometry: Geometry, size: int) -> int:
    return geometry.output_size(size) // geometry.alignment * geometry.alignment
