"""Outlines of some cells and signs of others, as one label image with ignored pixels."""

import numpy as np
from scipy import ndimage

from ulens.labels.overlap import contingency

# Measured on silver truth, in equivalent radii of the median cell around a cell's marker: 1 holds
# 90 % of a cell of DIC-HeLa and 73 % of one of U373, 1.5 holds 99 % and 91 %.
REACH_RADII = 1.5


def ignore_unoutlined(
    outlined: np.ndarray, *, silver: np.ndarray | None = None, markers: np.ndarray | None = None
) -> tuple[np.ndarray, int]:
    """Ignore the cells that are known to be there, but are not outlined.

    Parameters
    ----------
    outlined : (Y, X) integer; cells with trusted outlines, 0 = the rest
    silver : (Y, X) integer; outlines that programs made, or None
    markers : (Y, X) integer; a few pixels inside each cell, or None

    Returns
    -------
    label : (Y, X) int64; `outlined`, and −1 around the cells that only `silver` or `markers` know
    num_ignored : number of these cells

    Notes
    -----
    Who holds what follows the rule of the Cell Tracking Challenge: an object is in another where
    more than half of its pixels are. A silver object is a cell of its own unless it is in an
    outlined one, or holds the marker of one. Such a cell is ignored as the silver outlines it. A
    marker that is neither in an outlined cell nor in an ignored one is ignored with all pixels
    within `REACH_RADII` equivalent radii of the frame's median cell; where the frame outlines
    none, nothing tells how large the cell may be and the whole frame is ignored.

    Examples
    --------
    >>> gold, silver = np.array([[1, 1, 0, 0, 0, 0]]), np.array([[3, 3, 0, 8, 8, 0]])
    >>> ignore_unoutlined(gold, silver=silver)
    (array([[ 1,  1,  0, -1, -1,  0]]), 1)
    """
    silver = np.zeros_like(outlined) if silver is None else silver
    markers = np.zeros_like(outlined) if markers is None else markers
    marker_ids, marker_cells = _holders(markers, outlined)
    _, marker_silver = _holders(markers, silver)
    silver_ids, silver_cells = _holders(silver, outlined)
    is_known = marker_cells > 0
    own = silver_ids[(silver_cells == 0) & ~np.isin(silver_ids, marker_silver[is_known])]
    alone = marker_ids[~is_known & ~np.isin(marker_silver, own)]
    ignored = np.isin(silver, own)
    if alone.size:
        reach = REACH_RADII * _median_radius(outlined, np.where(ignored, silver, 0))
        ignored |= ndimage.distance_transform_edt(~np.isin(markers, alone)) <= reach
    label = outlined.astype(np.int64)
    return np.where((label == 0) & ignored, -1, label), own.size + alone.size


def _holders(labels: np.ndarray, holders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the ids of `labels`, and of each the one in `holders` with over half of it, or 0."""
    table = contingency(labels, holders)
    ids, rows = np.unique(table.truth, return_inverse=True)
    areas = np.bincount(rows, weights=table.num_pixels)
    most = 2 * table.num_pixels > areas[rows]
    held_by = np.zeros(ids.size, np.int64)
    held_by[rows[most]] = table.predicted[most]
    return ids[ids > 0], held_by[ids > 0]


def _median_radius(*labels: np.ndarray) -> float:
    """Return the radius of the disc with the median area of all objects; infinite without any."""
    # bincount would take memory for each number up to the largest label
    areas = np.concatenate([np.unique(each[each > 0], return_counts=True)[1] for each in labels])
    return float(np.sqrt(np.median(areas) / np.pi)) if areas.size else np.inf
