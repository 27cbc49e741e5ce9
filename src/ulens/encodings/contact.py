"""Touching instances by three classes: background, interior, and where instances touch.

encode: pixels with a pixel of another instance beside them are a class of their own. So a gap that
is there, however narrow, and a contact are not the same. decode: connected components of the
interior, grown over interior and contact.

Source: the three classes of Caicedo et al. 2019, Cytometry Part A 95(9) 952, whose boundary runs
around each nucleus; here it is only where nuclei touch.
"""

import numpy as np

from ulens.encodings import boundary
from ulens.encodings.seeds import Landscape, SeedDecoder
from ulens.labels.grid import share_of
from ulens.labels.meaning import IGNORED
from ulens.resample import Zoom

CLASSES = ("background", "interior", "contact")


def encode(labels: np.ndarray) -> np.ndarray:
    """Turn instance labels into three classes.

    Parameters
    ----------
    labels : (Y, X) integer; 0 = background, 1…N = instances, −1 = ignored

    Returns
    -------
    (Y, X) int16; 0 = background, 2 = pixels with a pixel of another instance among their eight
    neighbours, 1 = all others of an instance, −1 = ignored

    Examples
    --------
    >>> encode(np.array([[1, 1, 1, 2, 2, 2, 0]]))
    array([[1, 1, 2, 2, 1, 1, 0]], dtype=int16)
    """
    classes = np.where(labels > 0, 2 - boundary.encode(labels), 0)
    return np.where(labels < 0, IGNORED, classes).astype(np.int16)


def encode_at(labels: np.ndarray, zoom: Zoom, coarse: np.ndarray) -> np.ndarray:
    """Return which share of each pixel of another grid the three classes cover.

    Parameters
    ----------
    labels : as in `encode`
    coarse : the label of each pixel there, `labels_at`

    Returns
    -------
    (3, y, x) float32; instances cover a pixel as contact or as interior, never as both
    """
    background, foreground = share_of(labels, 0, zoom), share_of(labels, None, zoom)
    foreground = foreground / np.maximum(background + foreground, 1e-6)
    touching = encode(coarse) == 2
    return np.stack([1 - foreground, foreground * ~touching, foreground * touching])


def decoder(
    *, threshold: float = 0.5, reach_threshold: float = 0.5, min_area_px: float = 0
) -> SeedDecoder:
    """Return the stages of the decoding, which takes (3, Y, X) probabilities.

    Parameters
    ----------
    threshold : a pixel belongs to the core of an instance where interior is above it
    reach_threshold : cores grow, the surest interior first, over pixels where interior and contact
        together are above it
    min_area_px : smaller instances are removed, and before they grow cores of less than half of
        that, pixels

    Notes
    -----
    Cores are 4-connected. They grow by watershed.
    """

    def landscape(maps: np.ndarray) -> Landscape:
        interior = maps[1]
        cores = interior > threshold
        return Landscape(cores, -interior, cores | (1 - maps[0] > reach_threshold))

    return SeedDecoder(
        landscape=landscape,
        min_seed_px=int(np.ceil(min_area_px / 2)),
        min_area_px=int(np.ceil(min_area_px)),
    )
