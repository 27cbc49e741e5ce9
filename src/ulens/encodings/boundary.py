"""The paper's way with touching instances: a separation border, learned with a weight map.

encode: every instance becomes foreground except for the pixels that touch another instance;
the weight map makes the network learn these narrow gaps. decode: connected components of
the foreground, grown back to the border.
"""

import numpy as np
from scipy import ndimage

from ulens.encodings.seeds import Landscape, SeedDecoder
from ulens.labels.meaning import IGNORED
from ulens.labels.nearest import two_nearest
from ulens.resample import AS_IT_IS, Zoom

BORDER_REACH_PX = 1.5
"""Of the network's pixels: the border between two instances is two of them wide."""
_SQUARE = np.ones((3, 3), bool)
_SMOOTHING_REACH_PX = 2
_ALL, _FIRST, _LAST = slice(None), slice(None, -1), slice(1, None)
# the windows in which each pixel lies beside its neighbour to the right, below, and diagonally
_NEIGHBOURS = (
    ((_ALL, _FIRST), (_ALL, _LAST)),
    ((_FIRST, _ALL), (_LAST, _ALL)),
    ((_FIRST, _FIRST), (_LAST, _LAST)),
    ((_FIRST, _LAST), (_LAST, _FIRST)),
)


def encode(labels: np.ndarray) -> np.ndarray:
    """Turn instance labels into foreground and background with a separation border.

    Parameters
    ----------
    labels : (Y, X) integer; 0 = background, 1…N = instances, −1 = ignored

    Returns
    -------
    (Y, X) int16; 1 inside an instance, 0 = background and every pixel with a pixel of
    another instance among its eight neighbours, −1 = ignored

    Examples
    --------
    >>> encode(np.array([[1, 1, 1, 2, 2, 2, 0]]))
    array([[1, 1, 0, 0, 1, 1, 0]], dtype=int16)
    """
    inside = labels > 0
    touching = np.zeros(labels.shape, bool)
    for here, there in _NEIGHBOURS:
        differ = (labels[here] != labels[there]) & inside[here] & inside[there]
        touching[here] |= differ
        touching[there] |= differ
    return np.where(labels < 0, IGNORED, inside & ~touching).astype(np.int16)


def decoding_at(zoom: Zoom) -> dict[str, float]:
    """Return the parameters of `decoder` that depend on the zoom.

    The borders between instances are as wide as the network's pixels.
    """
    return {} if zoom == AS_IT_IS else {"grow_px": BORDER_REACH_PX / min(zoom)}


def decoder(
    *,
    threshold: float = 0.5,
    reach_threshold: float = 0.5,
    min_area_px: float = 0,
    grow_px: float = BORDER_REACH_PX,
) -> SeedDecoder:
    """Return the stages of the decoding, which takes (2, Y, X) probabilities.

    Parameters
    ----------
    threshold : a pixel belongs to the core of an instance above it
    reach_threshold : cores grow, most probable pixels first, over pixels above it
    min_area_px : smaller cores are removed, pixels
    grow_px : reach of the growth into the separation border in pixels

    Notes
    -----
    Cores are 4-connected, since a border of one pixel may run diagonally. They grow by watershed.
    Last, pixels of the separation border go to the nearest instance: those at most `grow_px`
    from it and less than 2·`grow_px` from another one.

    Examples
    --------
    >>> foreground = np.array([[1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]])
    >>> decoder().decode(np.stack([1 - foreground, foreground]))
    array([[1, 1, 1, 2, 2, 2, 0]], dtype=int32)
    """

    def landscape(maps: np.ndarray) -> Landscape:
        within = maps[1] > min(threshold, reach_threshold)
        return Landscape(maps[1] > threshold, -maps[1], within)

    return SeedDecoder(
        landscape=landscape,
        min_seed_px=int(np.ceil(min_area_px)),
        finish=lambda instances: _close_gaps(instances, grow_px),
        reach_px=int(np.ceil(2 * grow_px)) + _SMOOTHING_REACH_PX,
    )


def _close_gaps(instances: np.ndarray, grow_px: float) -> np.ndarray:
    """Give the pixels between two instances to the nearest."""
    nearest, second, owner = two_nearest(instances, reach_px=2 * grow_px)
    in_gap = (nearest <= grow_px) & (second < 2 * grow_px)
    # where a gap opens, the rough edges of two instances would leave the teeth of a comb
    smooth = ndimage.binary_closing(in_gap | (instances > 0), _SQUARE)
    return np.where(in_gap | (smooth & (nearest <= grow_px)), owner, instances)
