"""The instances of a block, as they grow from the seeds of the whole plane."""

import numpy as np

from ulens.encodings.seeds import Landscape, SeedDecoder
from ulens.labels.flood import flood
from ulens.predict.large.blocks import PlaneFiles, Window, within

_OUTSIDE = np.iinfo(np.int32).max


def read_landscape(decoder: SeedDecoder, files: PlaneFiles, window: Window) -> Landscape:
    """Return the landscape of a window of the plane."""
    seen = files.blocks.grown(window, decoder.reach_px)
    ground = decoder.landscape(files.maps.read_window(seen))
    return Landscape(*(part[within(window, seen)] for part in ground))


def grow(
    decoder: SeedDecoder, files: PlaneFiles, window: Window, halo_px: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the (y, x) int32 instances of a block, and the numbers of those not certain.

    Among these is 0 where pixels are lost to instances that begin beyond the halo.
    """
    near = files.blocks.grown(window, decoder.reach_px)
    crop = files.blocks.grown(window, max(halo_px, decoder.reach_px))
    ground = read_landscape(decoder, files, crop)
    seeds = files.seeds.read_window(
        crop, lambda block, labels: np.asarray(files.numbers.read(block))[labels]
    )
    with_outside = _with_outside(seeds, ground.within, crop, files.blocks.size)
    grown = flood(with_outside, ground.height, within=ground.within)[within(near, crop)]
    lost = grown == _OUTSIDE
    unsure = np.empty(0, np.int32)
    if lost.any():
        grown = flood(seeds, ground.height, within=ground.within)[within(near, crop)]
        unsure = np.unique(grown[lost])
    return decoder.finish(grown)[within(window, near)], unsure


def _with_outside(
    seeds: np.ndarray, free: np.ndarray, crop: Window, size: tuple[int, int]
) -> np.ndarray:
    """Add a seed where something that is not seen could flood in over the edge of the crop.

    What may come in there comes no lower than the edge is and no sooner, so every pixel that
    this seed does not take is certain.
    """
    seeds = seeds.copy()
    for axis, (side, length) in enumerate(zip(crop, size, strict=True)):
        for is_cut, index in ((side.start > 0, 0), (side.stop < length, -1)):
            if is_cut:
                edge = (slice(None),) * axis + (index,)
                seeds[edge] = np.where(free[edge] & (seeds[edge] == 0), _OUTSIDE, seeds[edge])
    return seeds
