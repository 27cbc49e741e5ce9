"""Instances that grow from seeds: what the decodings of instances have in common.

The stages stand apart so that an image that is larger than memory can be decoded block by block.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from ulens.labels.flood import flood
from ulens.labels.regions import without_small


class Landscape(NamedTuple):
    """Where instances begin, and the ground that they grow over.

    Parameters
    ----------
    seeds : (Y, X) bool; each 4-connected component is the seed of an instance
    height : (Y, X) float; instances grow over the lowest pixels first
    within : (Y, X) bool; the pixels that they may take
    """

    seeds: np.ndarray
    height: np.ndarray
    within: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True)
class SeedDecoder:
    """A decoding of instances, stage by stage.

    Parameters
    ----------
    landscape : maps (K, Y, X) maps of the network to their landscape
    min_seed_px : smaller seeds are left out, pixels
    finish : the last touch on the (Y, X) int32 instances that have grown
    min_area_px : smaller instances are removed at the end, pixels
    reach_px : how far around a pixel `landscape` and `finish` look
    """

    landscape: Callable[[np.ndarray], Landscape]
    min_seed_px: int = 1
    finish: Callable[[np.ndarray], np.ndarray] = lambda instances: instances
    min_area_px: int = 1
    reach_px: int = 0

    def decode(self, maps: np.ndarray) -> np.ndarray:
        """Return (Y, X) int32; 0 = background, then 1…N without gaps in raster order of seeds."""
        ground = self.landscape(maps)
        seeds, _ = ndimage.label(ground.seeds)
        seeds = without_small(seeds, self.min_seed_px)
        if not seeds.any():
            return seeds
        instances = self.finish(flood(seeds, ground.height, within=ground.within))
        return without_small(instances, self.min_area_px)
