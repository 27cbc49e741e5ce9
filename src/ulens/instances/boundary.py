"""The paper's way with touching instances: a separation border, learned with a weight map.

encode: every instance becomes foreground except for the pixels that touch another instance;
the weight map makes the network learn these narrow gaps. decode: connected components of
the foreground, grown back to the border.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from skimage.measure import label as connected_components
from skimage.segmentation import watershed

from ulens.errors import SettingError
from ulens.losses import IGNORED

EIGHT_NEIGHBOURS = np.ones((3, 3), bool)


def encode(labels: np.ndarray) -> np.ndarray:
    """Turn instance labels into foreground and background with a separation border.

    Parameters
    ----------
    labels : (Y, X) integer; 0 = background, 1…N = instances, −1 = ignored

    Returns
    -------
    (Y, X) int64; 1 inside an instance, 0 = background and every pixel with a pixel of
    another instance among its eight neighbours, −1 = ignored

    Examples
    --------
    >>> encode(np.array([[1, 1, 1, 2, 2, 2, 0]]))
    array([[1, 1, 0, 0, 1, 1, 0]])
    """
    instances = np.where(labels > 0, labels, 0)
    highest = ndimage.maximum_filter(instances, footprint=EIGHT_NEIGHBOURS, mode="nearest")
    last = instances.max(initial=0)
    lowest = ndimage.minimum_filter(
        np.where(labels > 0, labels, last), footprint=EIGHT_NEIGHBOURS, mode="nearest"
    )
    alone = (highest == instances) & (lowest == instances)
    return np.where(labels < 0, IGNORED, (labels > 0) & alone).astype(np.int64)


def separation_weight(labels: np.ndarray, *, w0: float, sigma_px: float) -> np.ndarray:
    """Weight of the gaps between instances: w0·exp(−(d1 + d2)² / 2σ²).

    Parameters
    ----------
    labels : (Y, X) integer; 0 = background, 1…N = instances, −1 = ignored
    w0 : weight where two instances touch
    sigma_px : how fast the weight falls with the width of the gap, pixels

    Returns
    -------
    (Y, X) float32, 0 or more; d1 and d2 are the distances in pixels to the nearest and the
    second-nearest instance other than the pixel's own, whose distance is 0

    Notes
    -----
    Source: paper, equation 2. The paper leaves open what holds inside instances; here only
    pixels that `encode` makes background carry the weight, as in the code released by
    Falk et al. 2019. Beyond d1 + d2 = 5σ the weight is below 4e-6·w0 and is set to 0.
    """
    if sigma_px <= 0 or w0 < 0:
        raise SettingError(f"w0 is {w0}, sigma_px {sigma_px}; need w0 >= 0 and sigma_px > 0")
    nearest, second = _two_nearest(labels, reach=int(np.ceil(5 * sigma_px)))
    gap = nearest + second
    weight = w0 * np.exp(-(gap**2) / (2 * sigma_px**2))
    return np.where((encode(labels) == 0) & (gap <= 5 * sigma_px), weight, 0).astype(np.float32)


def _two_nearest(labels: np.ndarray, *, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances to the nearest and second-nearest instance, infinite beyond `reach`."""
    nearest = np.full(labels.shape, np.inf, np.float32)
    second = nearest.copy()
    for number, box in enumerate(ndimage.find_objects(np.maximum(labels, 0)), start=1):
        if box is None:
            continue
        window = tuple(slice(max(0, side.start - reach), side.stop + reach) for side in box)
        distance = ndimage.distance_transform_edt(labels[window] != number).astype(np.float32)
        second[window] = np.minimum(second[window], np.maximum(nearest[window], distance))
        nearest[window] = np.minimum(nearest[window], distance)
    return nearest, second


def class_balance(targets: Sequence[np.ndarray], num_classes: int) -> tuple[float, ...]:
    """Weight w_c of each class: inversely proportional to its frequency, mean 1 over pixels.

    Parameters
    ----------
    targets : (Y, X) integer arrays in 0…num_classes−1, −1 = ignored

    Returns
    -------
    one weight per class; 0 for a class that never occurs
    """
    counts = np.zeros(num_classes)
    for target in targets:
        counts += np.bincount(target[target >= 0].ravel(), minlength=num_classes)
    present = counts > 0
    weights = np.zeros(num_classes)
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return tuple(float(weight) for weight in weights)


def decode(
    probability: np.ndarray,
    *,
    threshold: float = 0.5,
    reach_threshold: float = 0.5,
    min_area_px: int = 0,
    grow_px: float = 1.5,
) -> np.ndarray:
    """Connected components of the sure foreground, grown back to the border.

    Parameters
    ----------
    probability : (Y, X) float in [0, 1], foreground
    threshold : a pixel belongs to the core of an instance above it
    reach_threshold : cores grow, most probable pixels first, over pixels above it
    min_area_px : smaller cores are removed, pixels
    grow_px : reach of the growth into the separation border in pixels

    Returns
    -------
    (Y, X) int32; 0 = background, then 1…N without gaps in raster order of the cores

    Notes
    -----
    Cores are 4-connected, since a border of one pixel may run diagonally. They grow by watershed.
    Last, pixels of the separation border go to the nearest instance: those at most `grow_px`
    from it and less than 2·`grow_px` from another one.

    Examples
    --------
    >>> decode(np.array([[1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]]))
    array([[1, 1, 1, 2, 2, 2, 0]], dtype=int32)
    """
    cores = connected_components(probability > threshold, connectivity=1)
    kept = np.bincount(cores.ravel()) >= max(1, min_area_px)
    kept[0] = False
    cores = np.where(kept, np.cumsum(kept), 0)[cores]
    if not cores.any():
        return cores.astype(np.int32)
    instances = cores
    if reach_threshold < threshold:
        instances = watershed(-probability, cores, mask=probability > reach_threshold)
    return _close_gaps(instances, grow_px).astype(np.int32)


def _close_gaps(instances: np.ndarray, grow_px: float) -> np.ndarray:
    """Give the pixels between two instances to the nearest."""
    if grow_px <= 0:
        return instances
    nearest, second = _two_nearest(instances, reach=int(np.ceil(2 * grow_px)))
    gap = (instances == 0) & (nearest <= grow_px) & (second < 2 * grow_px)
    owner = ndimage.distance_transform_edt(
        instances == 0, return_distances=False, return_indices=True
    )
    return np.where(gap, instances[tuple(owner)], instances)
