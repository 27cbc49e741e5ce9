"""The warping error: mergers and splits that no deformation of the borders can explain."""

import numpy as np
from scipy import ndimage

from ulens.compiled import compiled

CROP_RADIUS = 20


def num_warping_errors(truth: np.ndarray, proposal: np.ndarray, *, threshold: float) -> int:
    """Count the mergers and splits of a proposal against the truth of one slice.

    Parameters
    ----------
    truth : (Y, X) bool; True = cell interior
    proposal : (Y, X) float in [0, 1], probability of cell interior
    threshold : the proposal is interior where it lies above

    Returns
    -------
    The pixels that merge or split cells once the truth is warped onto the proposal

    Notes
    -----
    The truth changes only at simple points (foreground 4-, background 8-connected), so it keeps
    its topology. Jain et al., Boundary Learning by Optimization with Topological Constraints,
    CVPR 2010; rules and order of Fiji's Trainable_Segmentation, ``WarpingError``.

    Examples
    --------
    >>> truth = np.array([[1, 0, 1], [1, 0, 1], [1, 0, 1]], dtype=bool)
    >>> proposal = np.array([[1, 0, 1], [1, 1, 1], [1, 0, 1]], dtype=float)
    >>> num_warping_errors(truth, proposal, threshold=0.5)
    1
    """
    warped, mismatches = warp(truth, proposal, threshold=threshold)
    cells, _ = ndimage.label(warped)
    return _count_mergers_and_splits(cells, mismatches)


def warp(
    truth: np.ndarray, proposal: np.ndarray, *, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Deform the truth towards a proposal without changing its topology.

    Parameters
    ----------
    truth, proposal, threshold : as in `num_warping_errors`

    Returns
    -------
    warped : (Y, X) bool, the deformed truth
    mismatches : (M, 2) int64, points (y, x) where it still differs from the proposal
    """
    distance = np.abs(proposal.astype(np.float64) - threshold).astype(np.float32)
    # Transposed, because the official order runs down the columns; ties keep that order.
    x, y = np.nonzero((truth != (proposal.astype(np.float64) > threshold)).T)
    farthest_first = np.argsort(-distance[y, x], kind="stable")
    points = np.stack([y, x], axis=1)[farthest_first]
    padded = np.pad(truth, 1)
    num_left = _flip_simple_points(padded, points)
    return padded[1:-1, 1:-1], points[:num_left]


@compiled
def _flip_simple_points(padded: np.ndarray, points: np.ndarray) -> int:
    """Flip points in rounds until none is simple; move those left over to the front."""
    num_left = len(points)
    while True:
        num_kept = 0
        for k in range(num_left):
            y, x = points[k, 0], points[k, 1]
            if _is_simple(padded, y + 1, x + 1):
                padded[y + 1, x + 1] = not padded[y + 1, x + 1]
            else:
                points[num_kept, 0], points[num_kept, 1] = y, x
                num_kept += 1
        if num_kept == num_left:
            return num_left
        num_left = num_kept


@compiled
def _is_simple(padded: np.ndarray, y: int, x: int) -> bool:
    """Whether exactly one 4-connected foreground part of the ring of eight touches (y, x).

    That part count is the foreground's 4-neighbours minus the corners that join two of them;
    it is 0 for an isolated point and for a point with foreground all around.
    """
    num_parts = 0
    dy, dx = -1, 0
    for _ in range(4):
        next_dy, next_dx = dx, -dy
        if padded[y + dy, x + dx]:
            joined = padded[y + dy + next_dy, x + dx + next_dx] and padded[y + next_dy, x + next_dx]
            num_parts += 0 if joined else 1
        dy, dx = next_dy, next_dx
    return num_parts == 1


@compiled
def _count_mergers_and_splits(cells: np.ndarray, mismatches: np.ndarray) -> int:
    num_errors = 0
    for k in range(len(mismatches)):
        y, x = mismatches[k, 0], mismatches[k, 1]
        num_ids = _num_ids_around(cells, y, x)
        # Two labels around a white point are background and its own cell: the cell may fall apart.
        if num_ids > 2 or (num_ids == 2 and cells[y, x] > 0 and _splits_without(cells, y, x)):
            num_errors += 1
    return num_errors


@compiled
def _num_ids_around(cells: np.ndarray, y: int, x: int) -> int:
    """Count the distinct labels, background included, of the up to eight neighbours."""
    height, width = cells.shape
    seen = np.empty(8, np.int64)
    num_ids = 0
    for v in range(max(y - 1, 0), min(y + 2, height)):
        for u in range(max(x - 1, 0), min(x + 2, width)):
            if (v != y or u != x) and not np.any(seen[:num_ids] == cells[v, u]):
                seen[num_ids] = cells[v, u]
                num_ids += 1
    return num_ids


@compiled
def _splits_without(cells: np.ndarray, y: int, x: int) -> bool:
    """Whether the white neighbours of (y, x) part when it turns black, seen in a local crop."""
    top, left = max(y - CROP_RADIUS, 0), max(x - CROP_RADIUS, 0)
    crop = cells[top : y + CROP_RADIUS + 1, left : x + CROP_RADIUS + 1] > 0
    cy, cx = y - top, x - left
    crop[cy, cx] = False
    height, width = crop.shape
    num_parts = 0
    for v in range(max(cy - 1, 0), min(cy + 2, height)):
        for u in range(max(cx - 1, 0), min(cx + 2, width)):
            if crop[v, u]:
                num_parts += 1
                _erase_component(crop, v, u)
    return num_parts > 1


@compiled
def _erase_component(crop: np.ndarray, y: int, x: int) -> None:
    height, width = crop.shape
    stack = np.empty((height * width, 2), np.int64)
    stack[0, 0], stack[0, 1] = y, x
    crop[y, x] = False
    num_stacked = 1
    while num_stacked:
        num_stacked -= 1
        y, x = stack[num_stacked, 0], stack[num_stacked, 1]
        for dy, dx in ((0, -1), (-1, 0), (0, 1), (1, 0)):
            v, u = y + dy, x + dx
            if 0 <= v < height and 0 <= u < width and crop[v, u]:
                crop[v, u] = False
                stack[num_stacked, 0], stack[num_stacked, 1] = v, u
                num_stacked += 1
