"""How large objects are, and by how much an image must be enlarged for them to be of one size."""

from collections.abc import Callable

import numpy as np

LARGEST_FACTOR = 4.0
CLEARLY_OTHER = 1.2
NUM_LOOKS = 2


def median_diameter(labels: np.ndarray) -> float:
    """Return the median diameter of a circle of the area of an instance, in pixels.

    Parameters
    ----------
    labels : (Y, X) integer; 0 = background, −1 = ignored

    Returns
    -------
    0 where there is no instance

    Examples
    --------
    >>> round(median_diameter(np.array([[1, 1], [1, 2]])), 2)
    1.54
    """
    areas = np.bincount(np.maximum(labels, 0).ravel())[1:]
    areas = areas[areas > 0]
    return float(np.median(np.sqrt(4 * areas / np.pi))) if len(areas) else 0.0


def factor_to(object_px: float, diameter_px: float) -> float:
    """Return by how much to enlarge an image so that its objects are of another size.

    Parameters
    ----------
    object_px : diameter that they are to have; 0 = as they are
    diameter_px : that they have; 0 = there are none

    Returns
    -------
    ¼ to 4
    """
    if object_px <= 0 or diameter_px <= 0:
        return 1.0
    return min(LARGEST_FACTOR, max(1 / LARGEST_FACTOR, object_px / diameter_px))


def look_for_factor(segment: Callable[[float], np.ndarray], object_px: float) -> float:
    """Return by how much to enlarge an image whose objects are not known yet.

    Parameters
    ----------
    segment : returns the (Y, X) instances found when the image is taken for so many times as large
    object_px : as in `factor_to`

    Notes
    -----
    A network that knows objects of one size finds some of another, well enough to tell their size;
    it looks a second time where they are of clearly another one.
    """
    factor = 1.0
    if object_px <= 0:
        return factor
    for _ in range(NUM_LOOKS):
        found = factor_to(object_px, median_diameter(segment(factor)))
        if max(found / factor, factor / found) < CLEARLY_OTHER:
            break
        factor = found
    return factor
