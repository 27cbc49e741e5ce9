"""Label images cleaned up."""

import numpy as np
from scipy import ndimage


def without_small(labels: np.ndarray, min_area_px: int) -> np.ndarray:
    """Remove small labels and renumber the others, without gaps and in their order.

    Parameters
    ----------
    labels : integers of any shape, 0 = background
    min_area_px : labels with fewer pixels become background

    Returns
    -------
    int32, the shape of `labels`

    Examples
    --------
    >>> without_small(np.array([5, 5, 0, 2, 7, 7]), min_area_px=2)
    array([1, 1, 0, 0, 2, 2], dtype=int32)
    """
    kept = np.bincount(labels.ravel()) >= max(1, min_area_px)
    kept[:1] = False
    return np.where(kept, np.cumsum(kept), 0).astype(np.int32)[labels]


def largest_region(mask: np.ndarray) -> np.ndarray:
    """Return the largest connected region of a mask, alone; of equal ones the first.

    Examples
    --------
    >>> largest_region(np.array([True, False, True, True])).astype(int)
    array([0, 0, 1, 1])
    """
    regions, num_regions = ndimage.label(mask)
    if num_regions < 2:
        return mask
    return regions == 1 + np.argmax(np.bincount(regions.ravel())[1:])
