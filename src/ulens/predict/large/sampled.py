"""What a large plane looks like, from parts of it."""

from collections.abc import Callable

import numpy as np

from ulens.appearance import measure_look
from ulens.predict.large.blocks import Window

NUM_PARTS, PART_PX = 4, 256


def sample_look(read: Callable[[Window], np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Return what `measure_look` gives for parts of a plane side by side.

    Parameters
    ----------
    read : returns the (C, y, x) float32 pixels, normalised, of a window
    size : (Y, X) of the plane, of which all is read if it is no larger than the parts together
    """
    rows, columns = (_spread(length) for length in size)
    picture = [np.concatenate([read((row, column)) for column in columns], axis=2) for row in rows]
    return measure_look(np.concatenate(picture, axis=1))


def _spread(length: int) -> list[slice]:
    """Return windows along an axis.

    Examples
    --------
    >>> _spread(300), _spread(4096)[1]
    ([slice(0, 256, None), slice(256, 300, None)], slice(1280, 1536, None))
    """
    if length <= NUM_PARTS * PART_PX:
        return [slice(at, min(at + PART_PX, length)) for at in range(0, length, PART_PX)]
    starts = np.linspace(0, length - PART_PX, NUM_PARTS).astype(int)
    return [slice(int(start), int(start) + PART_PX) for start in starts]
