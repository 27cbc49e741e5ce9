"""Weight maps: which pixels count more in the loss.

`class_balance` is w_c and `separation_weight` the second term of the paper's equation 2;
`falk_weight` is the whole map of the paper's successor.
"""

from collections.abc import Sequence

import numpy as np

from ulens.encodings import boundary
from ulens.errors import SettingError
from ulens.labels.nearest import two_nearest

REACH_SIGMAS = 6.0
"""Farther instances are not looked for: there a Gaussian is below 2e-8."""


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
    second-nearest instance, 0 to the pixel's own

    Notes
    -----
    Source: paper, equation 2. The paper leaves open what holds inside instances; here only
    pixels that `ulens.encodings.boundary.encode` makes background carry the weight, as in the
    code released by Falk et al. 2019.
    """
    _check_gaps(w0, sigma_px)
    nearest, second, _ = two_nearest(labels, reach_px=REACH_SIGMAS * sigma_px)
    weight = w0 * _gaussian(nearest + second, sigma_px)
    return np.where(boundary.encode(labels) == 0, weight, 0)


def falk_weight(
    labels: np.ndarray,
    *,
    background: float = 0.1,
    decay_sigma_px: float = 10.0,
    w0: float = 50.0,
    sigma_px: float = 6.0,
) -> np.ndarray:
    """Weight map of Falk et al. 2019: less background far from instances, more between them.

    Parameters
    ----------
    labels : (Y, X) integer; 0 = background, 1…N = instances, −1 = ignored
    background : weight v of background far from any instance
    decay_sigma_px : σ1, how fast the weight falls from 1 beside an instance to v, pixels
    w0, sigma_px : λ and σ2 of the gaps, see `separation_weight`

    Returns
    -------
    (Y, X) float32; 1 inside instances, 0 where ignored, and in what
    `ulens.encodings.boundary.encode` makes background
    v + (1 − v)·exp(−d1² / 2σ1²) + λ·exp(−(d1 + d2)² / 2σ2²)

    Notes
    -----
    Source: Falk et al. 2019, Nature Methods 16, 67, and its ImageJ plugin
    (github.com/lmb-freiburg/Unet-Segmentation); the defaults are the plugin's. Of two touching
    instances the plugin turns one side of the contact into background and measures distances
    from what remains; here both sides are background and distances are to the instances as
    labelled.

    Examples
    --------
    >>> falk_weight(np.array([[1, 1, 0, 0, 0, 0, -1]])).round(2)
    array([[1.  , 1.  , 1.  , 0.98, 0.96, 0.93, 0.  ]], dtype=float32)
    """
    if not 0 <= background <= 1 or decay_sigma_px <= 0:
        raise SettingError(
            f"background is {background}, decay_sigma_px {decay_sigma_px}; need "
            "0 <= background <= 1 and decay_sigma_px > 0"
        )
    _check_gaps(w0, sigma_px)
    reach_px = REACH_SIGMAS * max(decay_sigma_px, sigma_px)
    nearest, second, _ = two_nearest(labels, reach_px=reach_px)
    weight = background + (1 - background) * _gaussian(nearest, decay_sigma_px)
    weight += w0 * _gaussian(nearest + second, sigma_px)
    target = boundary.encode(labels)
    return np.where(target == 0, weight, np.maximum(target, 0))


def _check_gaps(w0: float, sigma_px: float) -> None:
    if sigma_px <= 0 or w0 < 0:
        raise SettingError(f"w0 is {w0}, sigma_px {sigma_px}; need w0 >= 0 and sigma_px > 0")


def _gaussian(distance: np.ndarray, sigma: float) -> np.ndarray:
    return np.exp(-(distance**2) / np.float32(2 * sigma**2))
