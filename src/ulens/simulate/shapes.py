"""Label maps of many kinds of objects, drawn at random: what simulated images show."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import ndimage as ndi

from ulens.labels.regions import largest_region
from ulens.simulate.fields import (
    lengths,
    nearest,
    packed_discs,
    random_anisotropy,
    smooth_noise,
    warped_grid,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """How objects of a kind are drawn.

    Parameters
    ----------
    radii : smallest and largest, in units of half the diameter that is asked for
    closeness : as in `packed_discs`; below 1 objects touch
    bent : how strongly outlines are bent
    stretched : largest ratio of length to width
    reach : how far an object goes, in its radii; beyond 1 it fills gaps
    occupied : smallest and largest share of the image where there are objects
    """

    radii: tuple[float, float]
    closeness: float
    bent: float
    stretched: float
    reach: float
    occupied: tuple[float, float]


KINDS: Mapping[str, Kind] = {
    "packed cells": Kind(
        radii=(0.6, 1.3), closeness=0.78, bent=0.75, stretched=1.6, reach=1.05, occupied=(0.6, 0.95)
    ),
    "sparse cells": Kind(
        radii=(0.5, 1.5), closeness=1.15, bent=1.2, stretched=2.6, reach=1.0, occupied=(0.2, 0.7)
    ),
    "nuclei": Kind(
        radii=(0.7, 1.3), closeness=0.9, bent=0.25, stretched=1.5, reach=0.95, occupied=(0.2, 0.9)
    ),
    "rods": Kind(
        radii=(0.5, 0.9), closeness=0.8, bent=0.3, stretched=5.0, reach=0.9, occupied=(0.2, 0.9)
    ),
    "yeast": Kind(
        radii=(0.5, 1.1), closeness=0.93, bent=0.08, stretched=1.25, reach=0.97,
        occupied=(0.15, 0.6),
    ),
    "neurites": Kind(
        radii=(0.25, 2.2), closeness=0.95, bent=1.0, stretched=2.2, reach=9.0, occupied=(1.0, 1.0)
    ),
    "tissue": Kind(
        radii=(0.8, 1.2), closeness=0.85, bent=0.4, stretched=1.6, reach=1.5, occupied=(0.9, 1.0)
    ),
}  # fmt: skip
MIN_AREA_SHARE = 0.08  # of a disc of the diameter that is asked for


def draw_labels(
    rng: np.random.Generator, size: int, kind: str, diameter_px: float = 28.0
) -> np.ndarray:
    """Draw the label map of an image.

    Parameters
    ----------
    rng : decides everything
    size : rows and columns, pixels
    kind : a key of `KINDS`
    diameter_px : of a typical object

    Returns
    -------
    (Y, X) uint16; 0 = background, 1…N = objects without gaps, each one connected region; touching
    objects have no gap between them
    """
    own = KINDS[kind]
    low, high = (each * diameter_px / 2 for each in own.radii)
    num = int(np.ceil(1.6 * size**2 / (np.pi * ((low + high) / 2) ** 2)))
    density = smooth_noise(rng, size, 3 * diameter_px)
    occupied = density >= np.quantile(density, 1 - rng.uniform(*own.occupied))
    radii = rng.uniform(low, high, num)
    centres, radii = packed_discs(rng, size, radii, closeness=own.closeness, allowed=occupied)
    if not len(centres):
        return np.zeros((size, size), np.uint16)
    # bends are measured in pixels, made for cells of about 45
    points = warped_grid(rng, size, strength=own.bent * min(1.0, diameter_px / 45))
    owner, reach = nearest(
        lengths(points - centre[:, None, None], random_anisotropy(rng, own.stretched)) / radius
        for centre, radius in zip(centres, radii, strict=True)
    )
    smallest = MIN_AREA_SHARE * np.pi * diameter_px**2 / 4
    return largest_regions(np.where(reach < own.reach, owner + 1, 0), min_area=smallest)


def largest_regions(owner: np.ndarray, min_area: float) -> np.ndarray:
    """Keep of each id its largest connected region, if that is large enough; renumber.

    Parameters
    ----------
    owner : (Y, X) integer, 0 = none

    Returns
    -------
    (Y, X) uint16
    """
    labels = np.zeros(owner.shape, np.uint16)
    num_kept = 0
    for value, box in enumerate(ndi.find_objects(owner), start=1):
        if box is None:
            continue
        region = largest_region(owner[box] == value)
        if region.sum() >= min_area:
            num_kept += 1
            labels[box][region] = num_kept
    return labels
