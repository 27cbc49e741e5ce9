"""Watershed from seeds, fast where most of each object is seed already."""

import numpy as np
import skimage as ski


def flood(seeds: np.ndarray, height: np.ndarray, *, within: np.ndarray) -> np.ndarray:
    """Let seeds grow, lowest pixels first, until they meet.

    Parameters
    ----------
    seeds : (Y, X) integer, 0 = none
    height : (Y, X) float
    within : (Y, X) bool; the pixels to divide among the seeds; seeds elsewhere are dropped

    Returns
    -------
    (Y, X) int32; each pixel `within` carries the seed it is reached from, over four neighbours;
    0 where it is reached from none, and elsewhere

    Notes
    -----
    What scikit-image's watershed returns, unless two seeds are equally low beside one pixel, which
    it leaves to chance. That queues every pixel of every seed; here it is given only those beside
    a pixel that is still free, since the others have nothing to take.

    Examples
    --------
    >>> flood(np.array([[1, 0, 0, 2]]), np.array([[9, 5, 3, 4]]), within=np.ones((1, 4), bool))
    array([[1, 2, 2, 2]], dtype=int32)
    """
    free = within & (seeds == 0)
    front = free.copy()
    front[1:] |= free[:-1]
    front[:-1] |= free[1:]
    front[:, 1:] |= free[:, :-1]
    front[:, :-1] |= free[:, 1:]
    front &= within
    grown = ski.segmentation.watershed(height, np.where(front, seeds, 0), mask=front)
    return np.where(free, grown, np.where(within, seeds, 0)).astype(np.int32)
