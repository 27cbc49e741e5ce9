"""How two label images overlap: contingency table, IoU matrix, one-to-one matching.

The only matching code of the package; every measure on instances rests on it.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from ulens.errors import LabelError, SettingError, ShapeError

LARGEST_LABEL = 2**31 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Contingency:
    """Pixel counts of all label pairs that occur, in the order of (truth, predicted).

    Parameters
    ----------
    truth, predicted : (K,) int64, the labels of each pair; 0 = background
    num_pixels : (K,) int64 >= 1, the pixels that carry both
    """

    truth: np.ndarray
    predicted: np.ndarray
    num_pixels: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class IouMatrix:
    """Intersection over union of every true and every predicted object.

    Parameters
    ----------
    values : (R, S) float64 in [0, 1]
    truth, predicted : (R,) and (S,) int64, the labels of rows and columns, ascending, without 0
    """

    values: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray


def contingency(
    truth: np.ndarray, predicted: np.ndarray, *, valid: np.ndarray | None = None
) -> Contingency:
    """Count the pixels of every pair of labels.

    Parameters
    ----------
    truth, predicted : integer or bool arrays of one shape, labels from 0 up
    valid : bool array of that shape, or None; pixels that are False are left out

    Returns
    -------
    Contingency, pairs with background included

    Raises
    ------
    ShapeError : the shapes differ
    LabelError : a label is negative, not an integer or above `LARGEST_LABEL`

    Examples
    --------
    >>> contingency(np.array([0, 1, 1, 2]), np.array([0, 5, 5, 0])).num_pixels.tolist()
    [1, 2, 1]
    """
    if truth.shape != predicted.shape:
        raise ShapeError(
            f"label images are {truth.shape} and {predicted.shape}; they must have one shape"
        )
    keep = slice(None) if valid is None else valid.ravel()
    rows, columns = _checked(truth.ravel()[keep]), _checked(predicted.ravel()[keep])
    num_columns = int(columns.max(initial=0)) + 1
    keys = rows * num_columns + columns
    occurring, num_pixels = _count(keys, (int(rows.max(initial=0)) + 1) * num_columns)
    return Contingency(
        truth=occurring // num_columns, predicted=occurring % num_columns, num_pixels=num_pixels
    )


def iou_matrix(table: Contingency) -> IouMatrix:
    """Compute the IoU of all pairs of objects; background is no object.

    Examples
    --------
    >>> iou_matrix(contingency(np.array([0, 1, 1, 2]), np.array([0, 5, 5, 0]))).values.tolist()
    [[1.0], [0.0]]
    """
    truth_ids, truth_areas, rows = _areas(table.truth, table.num_pixels)
    predicted_ids, predicted_areas, columns = _areas(table.predicted, table.num_pixels)
    both = (table.truth > 0) & (table.predicted > 0)
    intersection = np.zeros((truth_ids.size, predicted_ids.size))
    intersection[rows[both], columns[both]] = table.num_pixels[both]
    union = truth_areas[:, None] + predicted_areas[None, :] - intersection
    objects = (truth_ids > 0)[:, None] & (predicted_ids > 0)[None, :]
    values = (intersection / union)[objects]
    truth_ids, predicted_ids = truth_ids[truth_ids > 0], predicted_ids[predicted_ids > 0]
    return IouMatrix(
        values=values.reshape(truth_ids.size, predicted_ids.size),
        truth=truth_ids,
        predicted=predicted_ids,
    )


def match(iou: np.ndarray, *, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Match objects one to one where their IoU reaches a threshold.

    Parameters
    ----------
    iou : (R, S) float64 in [0, 1]
    threshold : in (0, 1]; pairs with ``iou >= threshold`` may be matched

    Returns
    -------
    rows, columns : (M,) int64, the matched pairs, rows ascending

    Raises
    ------
    SettingError : the threshold lies outside (0, 1]

    Notes
    -----
    As many pairs as possible are matched, and among such matchings one of greatest summed IoU.
    Above 0.5 no two objects can reach the threshold with the same third, so nothing is to choose.

    Examples
    --------
    >>> rows, columns = match(np.array([[0.2, 0.7], [0.6, 0.1]]), threshold=0.5)
    >>> rows.tolist(), columns.tolist()
    ([0, 1], [1, 0])
    """
    if not 0 < threshold <= 1:
        raise SettingError(f"IoU threshold is {threshold}; choose one above 0 and up to 1")
    candidate = iou >= threshold
    if all(candidate.sum(axis).max(initial=0) <= 1 for axis in (0, 1)):
        rows, columns = np.nonzero(candidate)
        return rows, columns
    # One more pair outweighs any gain in summed IoU, which is at most min(R, S).
    gain = np.where(candidate, iou + min(iou.shape), 0.0)
    rows, columns = scipy.optimize.linear_sum_assignment(gain, maximize=True)
    matched = candidate[rows, columns]
    return rows[matched], columns[matched]


def _checked(labels: np.ndarray) -> np.ndarray:
    if labels.dtype.kind not in "biu":
        raise LabelError(f"labels are of type {labels.dtype}; convert them to whole numbers")
    low, high = labels.min(initial=0), labels.max(initial=0)
    if low < 0 or high > LARGEST_LABEL:
        raise LabelError(
            f"labels run from {low} to {high}; they must lie in 0...{LARGEST_LABEL}; "
            "renumber them or leave the pixels out with valid="
        )
    return labels.astype(np.int64)


def _count(keys: np.ndarray, num_possible: int) -> tuple[np.ndarray, np.ndarray]:
    """Count equal keys: by table while it stays about as large as the image, else by sorting."""
    if num_possible > 16 * keys.size + 1024:
        return np.unique(keys, return_counts=True)
    counts = np.bincount(keys, minlength=num_possible)
    occurring = np.flatnonzero(counts)
    return occurring, counts[occurring]


def _areas(labels: np.ndarray, num_pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    ids, inverse = np.unique(labels, return_inverse=True)
    return ids, np.bincount(inverse, weights=num_pixels, minlength=ids.size), inverse
