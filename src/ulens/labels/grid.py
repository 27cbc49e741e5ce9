"""Label images on another grid: which label a pixel has there, and how much of it each covers."""

import numpy as np
from scipy import ndimage

from ulens.resample import Slices, Zoom, resample, size_at, window_needed


def labels_at(labels: np.ndarray, zoom: Zoom) -> np.ndarray:
    """Return a label image on another grid: every pixel gets the label that covers most of it.

    Parameters
    ----------
    labels : (Y, X) integer, −1 or more
    zoom : pixels of the new grid for each of the old one

    Returns
    -------
    (y, x), the dtype of `labels`; of labels that cover as much the smaller one wins, the background
    last

    Examples
    --------
    >>> labels_at(np.array([[1, 1, 1, 2, 0, 0, 2, 2]] * 2), (0.5, 0.25))
    array([[1, 2]])
    """
    size = size_at(labels.shape, zoom)
    winner, most = np.zeros(size, labels.dtype), np.zeros(size, np.float32)
    rest = np.ones(size, np.float32)
    # counted from −1: what is ignored covers pixels as any label does
    for number, box in enumerate(ndimage.find_objects(_from_one(labels)), start=1):
        label = number - 2
        if box is None or label == 0:
            continue
        window = _reached(box, size, zoom)
        share = share_of(labels, label, zoom, window)
        rest[window] -= share
        wins = share > most[window]
        winner[window][wins], most[window][wins] = label, share[wins]
    winner[rest > most + 1e-6] = 0
    return winner


def share_of(
    labels: np.ndarray, label: int | None, zoom: Zoom, window: Slices | None = None
) -> np.ndarray:
    """Return which share of each pixel of another grid a label covers; None = all above 0.

    Parameters
    ----------
    labels : (Y, X) integer
    window : (y, x) slices of the new grid; None = all

    Returns
    -------
    (y, x) float32 in [0, 1]
    """
    size = size_at(labels.shape, zoom)
    window = window or (slice(0, size[0]), slice(0, size[1]))
    part = labels[window_needed(window, labels.shape, zoom)]
    mask = (part > 0) if label is None else (part == label)
    return resample(
        mask[None].astype(np.float32), zoom, size, window=window, whole=labels.shape, kernel="box"
    )[0]


def _from_one(labels: np.ndarray) -> np.ndarray:
    return np.maximum(labels.astype(np.int64), -1) + 2


def _reached(box: tuple[slice, ...], size: tuple[int, int], zoom: Zoom) -> Slices:
    """Return the pixels of the new grid that a box of the old one may have a share in."""
    rows, columns = (
        slice(max(0, int(side.start * by) - 1), min(length, int(np.ceil(side.stop * by)) + 1))
        for side, length, by in zip(box, size, zoom, strict=True)
    )
    return rows, columns
